/** Says new alarms: one polite region for screen readers, and a tone. */

import { useEffect, useRef } from "preact/hooks";
import { alarmsOf } from "./alarms.js";
import { licenceOf } from "./lines.js";
import { html } from "./parts.js";
import { lineRows, queueRows } from "./rows.js";
import { tone } from "./sound.js";
import { now, shown, system, words } from "./store.js";

export function Announcer() {
  const said = useRef(new Map());
  const state = shown();
  const time = now.value;
  const found = alarmsOf(queueRows(state), lineRows(state), licenceOf(state, system.value, time), time, words);
  const fresh = [...found.keys()].filter((name) => !said.current.has(name));
  for (const name of said.current.keys()) if (!found.has(name)) said.current.delete(name);
  for (const name of fresh) said.current.set(name, found.get(name)); // as it was when it began: not read out each second
  useEffect(() => {
    if (fresh.length) tone();
  });
  return html`<p class="hidden" role="status" aria-live="polite">${[...said.current.values()].join(". ")}</p>`;
}
