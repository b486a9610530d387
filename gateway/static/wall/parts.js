/** Small parts that all views use. */

import { h } from "preact";
import htm from "htm";
import { useComputed } from "@preact/signals";
import { nameOf } from "./people.js";
import { detail, now, only, kiosk, show, view, words, zone } from "./store.js";
import { duration, instant, timeOfDay } from "./times.js";

export { nameOf };
export const html = htm.bind(h);

/** Durations and times of day in this page's words and zone. */
export const lasting = (milliseconds) => duration(milliseconds, words.units);
export const lastingSince = (since) => lasting(since ? now.value - instant(since) : 0);
export const clockTime = (milliseconds) => timeOfDay(milliseconds, zone.value);

/** A running time since an instant (text or milliseconds). */
export const Timer = ({ since }) => html`<${Running} key=${since} since=${since} />`;

function Running({ since }) {
  const start = typeof since === "number" ? since : instant(since);
  const text = useComputed(() => (start === null ? "" : lasting(now.value - start)));
  return html`<span class="timer" role="timer" aria-live="off">${text}</span>`;
}

const RING = "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11z";
const BARS = "M3.2 2h3.4v12H3.2zM9.4 2h3.4v12H9.4z";
const HORN = "M1.5 5.5h3L8.5 2v12L4.5 10.5h-3z";
/** Of each sign the width of its lines, the lines, and what is filled. */
const SIGNS = {
  free: [2.6, RING],
  ringing: [2.4, RING, "M8 2.5a5.5 5.5 0 0 0 0 11z"],
  talking: [0, "", "M8 1.4a6.6 6.6 0 1 0 0 13.2a6.6 6.6 0 1 0 0-13.2z"],
  away: [0, "", BARS],
  out: [2.6, "M3 3l10 10M13 3L3 13"],
  waiting: [1.9, "M3 2h10M3 14h10M4 2c0 4 4 4.5 4 6s-4 2-4 6M12 2c0 4-4 4.5-4 6s4 2 4 6"],
  warn: [2, "M8 2.5L14.5 14h-13z"],
  alarm: [0, "", "M8 1L15.5 14.5H.5z"],
  inbound: [2.2, "M13 3L4 12M4 5v7h7"],
  outbound: [2.2, "M3 13L12 4M5 4h7v7"],
  internal: [2, "M2 8h12M5 4.5L1.5 8 5 11.5M11 4.5L14.5 8 11 11.5"],
  pause: [0, "", BARS],
  resume: [0, "", "M4 2l9.5 6L4 14z"],
  theme: [1.8, RING, "M8 2a6 6 0 0 1 0 12z"],
  sound: [1.5, "M10.7 5.2a4 4 0 0 1 0 5.6M12.6 3.2a7 7 0 0 1 0 9.6", HORN],
  silence: [1.6, "M10.5 5.8l4.4 4.4M14.9 5.8l-4.4 4.4", HORN],
  full: [1.8, "M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4"],
  done: [2.6, "M2 8.5l4 4L14 4"],
};

export function Glyph({ of }) {
  const [width, lines, filled] = SIGNS[of];
  return html`<svg class=${`glyph ${of}`} viewBox="0 0 16 16" aria-hidden="true">
    ${lines && html`<path d=${lines} fill="none" stroke="currentColor" stroke-width=${width} />`}
    ${filled && html`<path d=${filled} fill="currentColor" />`}</svg>`;
}

/** The sign beside a bad number. */
export const Sign = ({ level }) => level ? html`<${Glyph} of=${level === 2 ? "alarm" : "warn"} />` : null;

/** A state: glyph and word in its colour. */
export const State = ({ of, word }) => html`<span class=${`state ${of}`}><${Glyph} of=${of} /><span class="word">${word}</span></span>`;

/** A click shows `leads` ([view, kind]) alone, a second one all. Not on a TV. */
function filter(leads) {
  if (!leads || kiosk) return ["span"];
  const [name, what] = leads;
  const pressed = view.value === name && only.value === what;
  const onClick = () => show(name, pressed ? "" : what);
  return ["button", { "aria-pressed": what ? pressed : null, onClick }];
}

/** A number with its word below, for the strip at the top. `level`: 0 well, 1 warning, 2 alarm.
 * `digits`: the least room, so that neighbours keep their places. `leads`: the filter that a click sets. */
export function Kpi({ value, unit, label, level = 0, of, title, digits = 0, beside, leads }) {
  const [tag, button] = filter(leads);
  return html`<${tag} class=${`kpi level${level}`} title=${title} ...${button}>
    <span class="value" style=${{ minWidth: `${digits}ch` }}>${of && html`<${Glyph} of=${of} />`}<span>${value}${
      unit && html`<small> ${unit}</small>`
    }</span><${Sign} level=${level} />${beside}</span>
    <span class="label">${label}</span>
  <//>`;
}

/** A number of a table's foot. `leads`: a click shows its rows alone. */
export function Total({ leads, children }) {
  const [tag, button] = filter(leads);
  return html`<${tag} class="total" ...${button}>${children}<//>`;
}

/** A tile or a row that opens by a click anywhere on it. */
export const opens = (kind, id) => ({
  "data-item": `${kind}:${id}`,
  onClick: () => (detail.value = { kind, id: String(id) }),
});

/** Opens its tile or row by keyboard. `says`: its name for screen readers. */
export const Opener = ({ class: name, says, children }) => html`<button class=${`open ${name}`} aria-haspopup="dialog" aria-label=${says}>${children}</button>`;

/** An outside number to call back by a tap; nothing to touch on a TV. */
export function Tel({ num }) {
  if (kiosk || !/^\+?[\d ()/.-]{5,}$/.test(num)) return num || words.anonymous;
  return html`<a class="tel" href=${`tel:${num.replace(/[^+\d]/g, "")}`} onClick=${(event) => event.stopPropagation()}>${num}</a>`;
}

/** The number, then the name, cut if too long. `says`: it opens the row, and this is its name. */
export function Party({ num, name, outside, more, says, tel = false }) {
  name = nameOf(num, name);
  const [kind, text] = outside && !num ? ["name", words.anonymous] : ["num", num];
  return html`<span class="party" title=${[num, name].filter(Boolean).join(" · ")}>
    ${
      says === undefined
        ? html`<span class=${kind}>${tel ? html`<${Tel} num=${num} />` : text}</span>`
        : html`<${Opener} class=${kind} says=${`${text} ${name}: ${says}`}>${text}<//>`
    }
    ${more && html`<span class="more">${more}</span>`}
    ${name && html`<span class="name">${name}</span>`}
  </span>`;
}

/** For an empty view. `all`: without the filter; `text`: if there is none. */
export const Empty = ({ all = [], text }) => html`<p class="empty">${all.length ? words.nothingFound : text}</p>`;
