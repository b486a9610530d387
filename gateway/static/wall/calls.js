/** The calls that go on, the oldest first; and those that nobody took today. */

import { clockTime, Empty, Glyph, html, lasting, nameOf, Opener, opens, Party, State, Timer, Total } from "./parts.js";
import { roomiest } from "./fit.js";
import { Steady } from "./levels.js";
import { byCaller, callRows, matches, missedRows } from "./rows.js";
import { KINDS } from "./settings.js";
import { Tiles } from "./stage.js";
import { find, kiosk, now, only, phone, shown, size, words, zone } from "./store.js";
import { Table } from "./table.js";
import { instant, midnight } from "./times.js";

const textOf = ({ num, name }) => `${num} ${nameOf(num, name)}`;
const parted = ({ more, ...party }) => ({ ...party, more: more > 0 && `+${more}` });

export const column = (name, kind, value, cell) => ({ name, class: kind, label: words[name], value, cell });
export const nameIn = (text) => html`<span class="name">${text}</span>`;

const CALLS = [
  column("direction", "way", ({ direction }) => words[direction],
    ({ direction }) => html`<${Glyph} of=${direction} /><span class="hidden">${words[direction]}</span>`),
  column("from", "from", (row) => textOf(row.from),
    (row) => html`<${Party} ...${parted(row.from)} says=${words[row.word]} />`),
  column("to", "to", (row) => textOf(row.to), (row) => html`<${Party} ...${parted(row.to)} />`),
  column("via", "via", (row) => row.via, (row) => nameIn(row.via)),
  column("state", "now", (row) => words[row.word], (row) => html`<${State} of=${row.kind} word=${words[row.word]} />`),
  column("time", "right", (row) => -instant(row.started), (row) => html`<${Timer} since=${row.started} />`),
];

const TALL = 5.6;
const TILES = [
  { w: 18, h: 7.7 }, // each line may need a second one
  { w: 25, h: TALL, grows: true }, // the first may
  { w: 28, h: 4.45, grows: true },
];
const held = new Steady(20_000); // the picture stays calm

/** Rows in a table; on a TV in tiles that fill it, as long as all have room. */
function Rows(table) {
  const { name, columns, rows, attributes } = table;
  const least = held.level(name, rows.length, now.value);
  if (!kiosk || roomiest(least, size.value, TILES).pages > 1)
    return html`<${Table} ...${table} />`;
  const tile = (row, _, { h }) => {
    const { class: kind, ...item } = attributes(row);
    return html`<article key=${row.id} class=${`tile agent call ${kind} ${h < TALL ? "" : "tall"}`} ...${item}>${columns.map(
      (one) => html`<div class=${one.class}>${one.cell(row)}</div>`,
    )}</article>`;
  };
  return html`<${Tiles} name=${name} items=${rows} least=${least} tiles=${TILES} draw=${tile} />`;
}

const rank = ({ waits, kind }) => 2 * waits || kind === "ringing";

export function Calls() {
  const all = callRows(shown());
  const found = all.filter((row) =>
    matches(
      [row.from.num, row.from.name, row.to.num, row.to.name, row.via, words[row.word], words[row.direction]],
      find.value,
    ),
  );
  const kinds = count(found, (row) => row.word);
  if (only.value === "waiting") kinds.waiting = found.filter((row) => row.waits).length;
  const rows = picked(found, (row, what) => row.word === what || (what === "waiting" && row.waits));
  if (kiosk) rows.sort((one, other) => rank(other) - rank(one)); // waiting first
  if (!rows.length) return html`<${Empty} all=${all} text=${words.noCalls} />`;
  return html`<${Rows} name="calls" columns=${CALLS} rows=${rows} order="-time" most=${4}
    attributes=${(row) => ({ class: row.kind, ...opens("call", row.id) })} totals=${totals("calls", rows, kinds)} />`;
}

const MISSED = [
  column("when", "when", (row) => row.ended,
    (row) => html`<${Opener} class="num" says=${`${row.num || words.anonymous} ${nameOf(row.num, row.name)}: ${words[row.outcome]}`}>${clockTime(row.ended)}<//>`),
  column("who", "from", textOf,
    ({ num, name, calls }) => html`<${Party} num=${num} name=${name} outside=${true} tel=${true}
      more=${calls.length > 1 && (kiosk || phone.value ? `×${calls.length}` : words.callCount(calls.length))} />`),
  column("to", "via to", (row) => row.to, (row) => nameIn(row.to)),
  column("outcome", "now", (row) => words[row.spoken ? "calledBack" : row.outcome], (row) => html`<${Outcome} row=${row} />`),
  column("waited", "right", (row) => row.waited, (row) => html`<span class="timer">${lasting(row.waited)}</span>`),
];

export function Missed() {
  const state = shown();
  const since = Date.parse(state.get("pbxstats")?.get("pbx")?.since ?? "") || midnight(now.value, zone.value);
  const all = missedRows(state, since);
  const found = all.filter((row) => matches([row.num, row.name, row.to, words[row.outcome], row.spoken && words.calledBack], find.value));
  const kinds = { ...count(found, (row) => row.outcome), calledBack: found.filter((row) => row.spoken).length };
  const calls = picked(found, (row, what) => row.outcome === what || (what === "calledBack" && row.spoken));
  if (!calls.length) return html`<${Empty} all=${all} text=${words.noMissed} />`;
  const average = calls.reduce((sum, row) => sum + row.waited, 0) / calls.length;
  return html`<${Rows} name="missed" columns=${MISSED} rows=${byCaller(calls)} order="-when" most=${3}
    attributes=${(row) => ({ class: became(row), ...opens("ended", row.id) })}
    totals=${[...totals("missed", calls, kinds), html`<${Total}>${words.averageWait} <b>${lasting(average)}</b><//>`]} />`;
}

/** What became of a call that nobody took. */
export const Outcome = ({ row }) => html`<${State} of=${became(row)} word=${words[row.spoken ? "calledBack" : row.outcome]} />`;

const became = ({ outcome, spoken }) => (spoken ? "done" : outcome === "missedCall" ? "ringing" : "away");

function count(rows, kindOf) {
  const counts = {};
  for (const row of rows) counts[kindOf(row)] = (counts[kindOf(row)] ?? 0) + 1;
  return counts;
}

/** The rows that somebody wants alone, if that is a kind of these rows. */
const picked = (rows, is) => only.value ? rows.filter((row) => is(row, only.value)) : rows;

/** A table's foot: how many rows, and how many of each kind, with its sign. */
function totals(view, rows, kinds) {
  const each = KINDS[view].map((kind) => [kind, kinds[kind] ?? 0]).filter(([kind, number]) => number || kind === only.value);
  return [
    html`<${Total}><b>${words.callCount(rows.length)}</b><//>`,
    ...each.map(([kind, number]) => {
      const of = rows.find((row) => row.word === kind)?.kind;
      const said = (!only.value && words[`${kind}Of`]) || words[kind];
      const word = of ? html`<${State} of=${of} word=${said} />` : said;
      return html`<${Total} key=${kind} leads=${[view, kind]}>${word} <b>${number}</b><//>`;
    }),
  ];
}
