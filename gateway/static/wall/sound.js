/** A tone for a new alarm; browsers allow it once the page was touched. */

import { signal } from "@preact/signals";
import { remember, remembered, settings } from "./store.js";

export const audible = signal(settings.sound || remembered("sound") === "1");
let context = null;
let last = -Infinity;

export function toggleSound() {
  audible.value = !audible.value;
  remember("sound", audible.value ? "1" : "0");
  if (audible.value) tone();
}

export function gesture() {
  if (!audible.value) return;
  context ??= new AudioContext();
  context.resume();
}

/** Play two short notes, at most every ten seconds. */
export function tone() {
  if (!audible.value || performance.now() - last < 10_000) return;
  if (!navigator.userActivation?.hasBeenActive) return;
  context ??= new AudioContext();
  last = performance.now();
  [660, 880].forEach((frequency, at) => {
    const begin = context.currentTime + 0.18 * at;
    const [oscillator, gain] = [new OscillatorNode(context, { frequency }), new GainNode(context)];
    gain.gain.setValueAtTime(0, begin);
    gain.gain.linearRampToValueAtTime(0.2, begin + 0.02);
    gain.gain.exponentialRampToValueAtTime(0.001, begin + 0.16);
    oscillator.connect(gain).connect(context.destination);
    oscillator.start(begin);
    oscillator.stop(begin + 0.18);
  });
}
