/** The agents: all at once, as large as their number allows. */

import { ems, initialed } from "./fit.js";
import { Empty, Glyph, html, Kpi, nameOf, Opener, opens, Timer } from "./parts.js";
import { agentRows, STATES, tally } from "./people.js";
import { matches } from "./rows.js";
import { Strip, Tiles } from "./stage.js";
import { find, only, kiosk, settings, shown, view, words } from "./store.js";

function tiles(rows) {
  const w = rows.length < 9 ? Math.max(...rows.map(needOf)) : 0; // few have whole names
  return [
    { w: Math.max(13, w), h: 4.6, lines: 3, most: 5 },
    { w: 11.5, h: 3.1, lines: 2, phone: true, grows: kiosk, fills: true },
    { w: kiosk ? 9.8 : 7.9, h: kiosk ? 2.9 : 2.25, lines: 1 },
  ];
}

const URGENCY = ["ringing", "away", "talking", "free", "out"];

function urgent(one, other) {
  const state = URGENCY.indexOf(one.state) - URGENCY.indexOf(other.state);
  return state || ((one.since ?? "") < (other.since ?? "") ? -1 : 1);
}

/** People named in the address are shown, in queues or not. */
const NAMED = ["ext", "extgroup", "group"].some((field) => settings.filter?.[field]);

export const Everybody = () => html`<${Agents} everybody=${true} />`;

export function Agents({ everybody = NAMED }) {
  const all = agentRows(shown(), everybody);
  const rows = all
    .filter((row) => !only.value || row.state === only.value)
    .filter((row) => matches([row.num, row.name, stateWord(row), row.talk?.num, row.talk?.name], find.value));
  if (!all.length) return html`<${Empty} text=${words.noAgents} />`;
  const counts = tally(all);
  return html`<${Strip} label=${words.total} items=${STATES.map(
    (state) => html`<${Kpi} key=${state} value=${counts[state]} label=${words.states[state]} of=${state}
      leads=${[view.value, state]} />`,
  )} />
    ${!rows.length && html`<${Empty} text=${words.nothingFound} />`}
    <${Tiles} name="agents" items=${rows} tiles=${tiles(rows)} urgent=${urgent} most=${4} draw=${(row, { lines }, room) =>
      html`<${Agent} key=${row.num} row=${row} width=${room.w} lines=${room.h > 4.3 ? 3 : lines} />`} />`;
}

export const stateWord = ({ word, profile }) =>
  word === null ? (words.profiles[profile] ?? profile) : word === "ringing" ? words.states.ringing : words[word];

/** Rem of a tile with a whole surname. */
const needOf = ({ num, name, person }) => 3.8 + ems(num) + ems(person ? initialed(name, 0) : name);

function Agent({ row, width, lines }) {
  const stacked = lines === 1;
  const { num, name, person, state, since, talk } = row;
  const other = talk ? [talk.num, nameOf(talk.num, talk.name)].filter(Boolean).join(" ") || words.anonymous : "";
  const word = stateWord(row);
  const says = `${num} ${name}: ${word}`;
  const shown = initialed(name, !person ? Infinity : stacked ? (width - 1.5) / (kiosk ? 1 : 0.8125) : width - 3.8 - ems(num));
  const fitting = (room) => [other, talk?.num].find((one) => one && 0.8125 * ems(one) < room);
  const beside = lines === 2 && fitting(width - (talk?.external ? 5 : 6.4) - ems(word));
  const time = since && html`<${Timer} since=${since} />`;
  return html`<article class=${`tile agent ${state} lines${lines}`} ...${opens("agent", num)}
      aria-label=${says} title=${`${says}${other && ` · ${other}`}`}>
    <div class="who"><${Glyph} of=${state} /><${Opener} class="num" says=${says}>${num}<//>
      ${stacked ? time : html`<span class="name">${shown}</span>`}</div>
    ${
      stacked
        ? html`<div class="name">${shown}</div>`
        : html`<div class="what"><span class="word">${word}</span>
      ${talk && !talk.external && (lines > 2 && width > 14 ? html`<span class="tag">${words.internal}</span>` : html`<${Glyph} of="internal" />`)}
      ${beside && html`<span class="other">${beside}</span>`}
      ${time}</div>`
    }
    ${lines > 2 && html`<div class="other">${kiosk ? fitting(width - 1.4) : other}</div>`}
  </article>`;
}
