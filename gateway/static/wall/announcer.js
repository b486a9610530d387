/** Says new alarms: one polite region for screen readers, a tone, and a word in the bar of what other views show. */

import { useEffect, useRef } from "preact/hooks";
import { alarmsOf } from "./alarms.js";
import { licenceOf } from "./lines.js";
import { Glyph, html } from "./parts.js";
import { lineRows, matches, queueRows } from "./rows.js";
import { tone } from "./sound.js";
import { now, settings, shown, system, view, words } from "./store.js";

/** What shows it, the most urgent first: a day's service level is known for hours, a caller waits now. */
const VIEW_OF = { waiting: "queues", wait: "queues", line: "lines", licence: "lines", free: "queues", sl: "queues" };
const URGENCY = Object.keys(VIEW_OF);

/** Whether this wall ever shows it: on a TV nobody takes back the address's `find`. */
function isShown(...texts) {
  return !settings.kiosk || matches(texts, settings.find);
}

export function Announcer() {
  const said = useRef(new Map());
  const state = shown();
  const time = now.value;
  const queues = queueRows(state, settings.filter).filter((row) => isShown(row.num, row.name));
  const found = alarmsOf(queues, lineRows(state), licenceOf(state, system.value, time), time, words);
  const fresh = [...found.keys()].filter((name) => !said.current.has(name));
  for (const name of said.current.keys()) if (!found.has(name)) said.current.delete(name);
  for (const name of fresh) said.current.set(name, found.get(name)); // as it was when it began: not read out each second
  useEffect(() => {
    if (fresh.length) tone();
  });
  const elsewhere = [...found]
    .map(([name, text]) => ({ kind: name.split(".")[0], text }))
    .filter(({ kind }) => VIEW_OF[kind] !== view.value)
    .sort((one, other) => URGENCY.indexOf(one.kind) - URGENCY.indexOf(other.kind))
    .map(({ text }) => text);
  return html`<p class="hidden" role="status" aria-live="polite">${[...said.current.values()].join(". ")}</p>
    ${
      elsewhere.length
        ? html`<p class="alarms" title=${elsewhere.join("\n")}><${Glyph} of="alarm" /><span>${elsewhere[0]}</span>
      ${elsewhere.length > 1 ? html`<b>+${elsewhere.length - 1}</b>` : null}</p>`
        : null
    }`;
}
