/** The lines to the outside, and how much of the licence is in use. */

import { levelOf } from "./alarms.js";
import { ems } from "./fit.js";
import { Empty, html, Kpi, State } from "./parts.js";
import { lineRows, matches } from "./rows.js";
import { Strip, Tiles } from "./stage.js";
import { find, now, only, shown, system, words } from "./store.js";

const TILES = [
  { w: 19, h: 9.4, most: 5 },
  { w: 14, h: 10.6, grows: true },
];

/** The licence: {used, limit, level}; null where the PBX does not say. */
export function licenceOf(state, pbx, time) {
  const limit = pbx?.licenceLimit;
  if (!limit) return null;
  const used = state.get("pbxstats")?.get("pbx")?.active ?? state.get("calls")?.size ?? 0;
  return { used, limit, level: levelOf("licence", "", (100 * used) / limit, time) };
}

export function Lines() {
  const state = shown();
  const all = lineRows(state);
  const rows = all
    .filter((line) => !only.value || (line.registered === false) === (only.value === "unregistered"))
    .filter((line) => matches([line.num, line.name, line.externalNumber], find.value));
  const licence = licenceOf(state, system.value, now.value);
  const day = state.get("pbxstats")?.get("pbx");
  const down = all.filter((line) => line.registered === false).length;
  const items = [
    html`<${Kpi} value=${all.length - down} unit=${`/ ${all.length}`} label=${words.linesRegistered} level=${down ? 2 : 0}
      leads=${["lines", down ? "unregistered" : "registered"]} />`,
    licence &&
      html`<${Kpi} value=${licence.used} unit=${`/ ${licence.limit}`} label=${words.licence}
        title=${words.simultaneous} level=${licence.level} leads=${["calls", ""]} />`,
    day && html`<${Kpi} value=${day.calls} label=${words.callsToday} />`,
    day && html`<${Kpi} value=${day.answered} label=${words.answeredToday} />`,
    day && html`<${Kpi} value=${day.peak} label=${words.peak} />`,
  ];
  return html`<${Strip} items=${items} label=${words.lines} />
    ${!rows.length && html`<${Empty} all=${all} text=${words.noLines} />`}
    <${Tiles} name="lines" items=${rows} tiles=${TILES} draw=${(line) => html`<${Line} key=${line.num} line=${line} />`} />`;
}

function Line({ line: { num, name, registered, inUse, capacity, externalNumber } }) {
  const down = registered === false;
  const [state, word] = down ? ["alarm", words.unregistered] : registered ? ["free", words.registered] : ["out", "–"];
  return html`<article class=${`tile line level${down ? 2 : 0}`} aria-label=${`${num} ${name}`} style=${{ "--need": 1.6 * ems(capacity > 0 ? capacity : 99) + 0.5 }}>
    <header><b class="num">${num}</b><h2 class="name" title=${name}>${name}</h2></header>
    <div class="figures"><div class="figure"><span class="value">${inUse}${
      capacity > 0 && html`<small> / ${capacity}</small>`
    }</span><span class="label">${words.inUse}</span></div></div>
    ${capacity > 0 && html`<div class="meter" aria-hidden="true"><i style=${{ width: `${Math.min(100, (100 * inUse) / capacity)}%` }}></i></div>`}
    <footer><${State} of=${state} word=${word} /><span class="name">${externalNumber}</span></footer>
  </article>`;
}
