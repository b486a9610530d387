/** New alarms: a region for screen readers, a tone, a chip for other views. */

import { useEffect, useRef } from "preact/hooks";
import { signal } from "@preact/signals";
import { alarmsOf } from "./alarms.js";
import { licenceOf } from "./lines.js";
import { html, Sign } from "./parts.js";
import { lineRows, matches, queueRows } from "./rows.js";
import { tone } from "./sound.js";
import { detail, find, now, kiosk, settings, show, shown, system, view, words } from "./store.js";

/** The view of each kind, the most urgent first. */
const VIEW_OF = { waiting: "queues", wait: "queues", line: "lines", licence: "lines", free: "queues", sl: "queues" };
const URGENCY = Object.keys(VIEW_OF);

/** How many alarms there are now, for the window's title. */
export const alarmCount = signal(0);

/** What is bad now, the most urgent first: {about, kind, text, level}. */
function alarmsNow() {
  const [state, time] = [shown(), now.value];
  const queues = queueRows(state, settings.filter)
    .filter((row) => !kiosk || matches([row.num, row.name], settings.find)); // a TV's filter stays
  return [...alarmsOf(queues, lineRows(state), licenceOf(state, system.value, time), time, words)]
    .map(([about, found]) => ({ about, kind: about.split(".")[0], ...found }))
    .sort((one, other) => other.level - one.level || URGENCY.indexOf(one.kind) - URGENCY.indexOf(other.kind));
}

export function Announcer() {
  const said = useRef(new Map());
  const found = alarmsNow();
  const fresh = found.filter(({ about }) => !said.current.has(about));
  said.current = new Map(found.map(({ about, text }) => [about, said.current.get(about) ?? text])); // not read out each second
  useEffect(() => {
    alarmCount.value = found.filter(({ level }) => level === 2).length;
    if (fresh.some(({ level }) => level === 2)) tone();
  });
  useEffect(() => () => (alarmCount.value = 0), []); // nothing is known without a key
  const elsewhere = found.filter(({ kind }) => VIEW_OF[kind] !== view.value);
  const first = elsewhere[0];
  const inside =
    first &&
    html`<${Sign} level=${first.level} /><span>${first.text}</span>
      ${elsewhere.length > 1 && html`<b>+${elsewhere.length - 1}</b>`}`;
  return html`<p class="hidden" role="status" aria-live="polite">${[...said.current.values()].join(". ")}</p>
    ${
      first &&
      (kiosk
        ? html`<p class=${`alarms level${first.level}`}>${inside}</p>`
        : html`<button class=${`alarms level${first.level}`} aria-haspopup="dialog" title=${words.alarms}
            onClick=${() => (detail.value = { kind: "alarms" })}>${inside}</button>`)
    }`;
}

/** The alarms: buttons that lead to their views. */
export function AlarmList() {
  const found = alarmsNow();
  return html`<h2>${words.alarms}</h2>${!found.length && html`<p>${words.noAlarms}</p>`}<ul class="list">${found.map(
    ({ about, kind, text, level }) =>
      html`<li key=${about}><button class=${`level${level}`} onClick=${() => lead(about, kind)}><${Sign} level=${level} /> ${text}</button></li>`,
  )}</ul>`;
}

function lead(about, kind) {
  find.value = "";
  show(VIEW_OF[kind]);
  const item = `[data-item="queue:${about.slice(kind.length + 1)}"]`;
  requestAnimationFrame(() => requestAnimationFrame(() => document.querySelector(`${item} .open`)?.focus()));
}
