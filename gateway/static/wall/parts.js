/** Small parts that all views use. */

import { h } from "preact";
import htm from "htm";
import { useComputed } from "@preact/signals";
import { nameOf } from "./people.js";
import { now, settings, words } from "./store.js";
import { duration, instant } from "./times.js";

export { nameOf };
export const html = htm.bind(h);

/** A running time since an instant (text, or milliseconds). Only its text is drawn anew each second. */
export function Timer({ since, class: name = "" }) {
  return html`<${Running} key=${since} since=${since} class=${name} />`;
}

function Running({ since, class: name }) {
  const start = typeof since === "number" ? since : instant(since);
  const text = useComputed(() => (start === null ? "" : duration(now.value - start, words.units)));
  return html`<span class=${`timer ${name}`} role="timer" aria-live="off">${text}</span>`;
}

const PATHS = {
  free: html`<circle cx="8" cy="8" r="5.5" fill="none" stroke="currentColor" stroke-width="2.6" />`,
  ringing: html`<circle cx="8" cy="8" r="5.5" fill="none" stroke="currentColor" stroke-width="2.4" />
    <path d="M8 2.5a5.5 5.5 0 0 0 0 11z" fill="currentColor" />`,
  talking: html`<circle cx="8" cy="8" r="6.6" fill="currentColor" />`,
  away: html`<path d="M3.2 2h3.4v12H3.2zM9.4 2h3.4v12H9.4z" fill="currentColor" />`,
  out: html`<path d="M3 3l10 10M13 3L3 13" stroke="currentColor" stroke-width="2.6" fill="none" />`,
  waiting: html`<path d="M3 2h10M3 14h10M4 2c0 4 4 4.5 4 6s-4 2-4 6M12 2c0 4-4 4.5-4 6s4 2 4 6" fill="none"
    stroke="currentColor" stroke-width="1.9" />`,
  warn: html`<path d="M8 2L15 14H1z" fill="none" stroke="currentColor" stroke-width="2" stroke-linejoin="round" />`,
  alarm: html`<path d="M8 1L15.5 14.5H.5z" fill="currentColor" />`,
  inbound: html`<path d="M13 3L4 12M4 5v7h7" fill="none" stroke="currentColor" stroke-width="2.2" />`,
  outbound: html`<path d="M3 13L12 4M5 4h7v7" fill="none" stroke="currentColor" stroke-width="2.2" />`,
  internal: html`<path d="M2 8h12M5 4.5L1.5 8 5 11.5M11 4.5L14.5 8 11 11.5" fill="none" stroke="currentColor"
    stroke-width="2" />`,
  pause: html`<path d="M3.6 2.5h2.8v11H3.6zM9.6 2.5h2.8v11H9.6z" fill="currentColor" />`,
  resume: html`<path d="M4 2l9.5 6L4 14z" fill="currentColor" />`,
  theme: html`<circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" stroke-width="1.8" />
    <path d="M8 2a6 6 0 0 1 0 12z" fill="currentColor" />`,
  sound: html`<path d="M1.5 5.5h3L8.5 2v12L4.5 10.5h-3z" fill="currentColor" /><path
    d="M10.7 5.2a4 4 0 0 1 0 5.6M12.6 3.2a7 7 0 0 1 0 9.6" fill="none" stroke="currentColor" stroke-width="1.5" />`,
  silence: html`<path d="M1.5 5.5h3L8.5 2v12L4.5 10.5h-3z" fill="currentColor" /><path
    d="M10.5 5.8l4.4 4.4M14.9 5.8l-4.4 4.4" stroke="currentColor" stroke-width="1.6" />`,
  full: html`<path d="M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4" fill="none" stroke="currentColor" stroke-width="1.8" />`,
  done: html`<path d="M2 8.5l4 4L14 4" fill="none" stroke="currentColor" stroke-width="2.6" />`,
};

export function Glyph({ of }) {
  return html`<svg class=${`glyph ${of}`} viewBox="0 0 16 16" aria-hidden="true">${PATHS[of]}</svg>`;
}

/** The sign beside a number that is bad. `level`: 0 well, 1 warning, 2 alarm. */
export function Sign({ level }) {
  return level ? html`<${Glyph} of=${level === 2 ? "alarm" : "warn"} />` : null;
}

/** A state: glyph and word in its colour. */
export function State({ of, word }) {
  return html`<span class=${`state ${of}`}><${Glyph} of=${of} /><span class="word">${word}</span></span>`;
}

/** A number with its word below, for the strip at the top. `level`: 0 well, 1 warning, 2 alarm.
 * `digits`: so many have room at least, that its neighbours stay where they are. */
export function Kpi({ value, unit = null, label, level = 0, of = null, title, digits = 0, beside = null }) {
  return html`<div class=${`kpi level${level}`} title=${title}>
    <div class="value">${of ? html`<${Glyph} of=${of} />` : null}<span style=${{ minWidth: `${digits}ch` }}>${value}${unit ? html`<small> ${unit}</small>` : null}</span><${Sign} level=${level} />${beside}</div>
    <div class="label">${label}</div>
  </div>`;
}

/** What opens the tile or the row that it stands in, by keyboard; `says`: to those who do not see the rest of it. */
export function Opener({ class: name, says, children }) {
  return html`<button type="button" class=${`open ${name}`} aria-haspopup="dialog" aria-label=${says}>${children}</button>`;
}

/** An outside number to call back by a tap; nothing to touch on a TV. */
export function Tel({ num }) {
  if (settings.kiosk || !/^\+?[\d ()/.-]{5,}$/.test(num)) return num || words.anonymous;
  return html`<a class="tel" href=${`tel:${num.replace(/[^+\d]/g, "")}`} onClick=${(event) => event.stopPropagation()}>${num}</a>`;
}

/** Number first, then the name, which is cut if it is too long. `says`: it opens the row, and that is its name. */
export function Party({ num, name, outside, more = 0, says, tel = false }) {
  name = nameOf(num, name);
  const first = outside && !num ? { class: "name", text: words.anonymous } : { class: "num", text: num };
  return html`<span class="party" title=${[num, name].filter(Boolean).join(" · ")}>
    ${
      says === undefined
        ? html`<span class=${first.class}>${tel ? html`<${Tel} num=${num} />` : first.text}</span>`
        : html`<${Opener} class=${first.class} says=${`${first.text} ${name ?? ""}: ${says}`}>${first.text}<//>`
    }
    ${name ? html`<span class="name">${name}</span>` : null}
    ${more > 0 ? html`<span class="more">+${more}</span>` : null}
  </span>`;
}

export function Empty({ text }) {
  return html`<p class="empty">${text}</p>`;
}
