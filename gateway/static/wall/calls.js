/** The calls that go on, the oldest first; and those that nobody took today. */

import { Empty, Glyph, html, nameOf, Opener, Party, State, Timer } from "./parts.js";
import { callRows, matches, missedRows } from "./rows.js";
import { usePagedRows } from "./stage.js";
import { detail, find, now, shown, words, zone } from "./store.js";
import { duration, midnight, timeOfDay } from "./times.js";

const OPEN = (kind, id) => ({
  "data-item": `${kind}:${id}`,
  onClick: () => (detail.value = { kind, id: String(id) }),
});

export function Calls() {
  const all = callRows(shown());
  const rows = all.filter((row) =>
    matches(
      [row.from.num, row.from.name, row.to.num, row.to.name, row.via, words[row.word], words[row.direction]],
      find.value,
    ),
  );
  const { here, left } = usePagedRows(rows);
  if (!rows.length) return html`<${Empty} text=${all.length ? words.nothingFound : words.noCalls} />`;
  return html`<table class="rows calls">
    <thead><tr><th><span class="hidden">${words.state}</span></th><th>${words.from}</th><th>${words.to}</th>
      <th class="via">${words.via}</th><th>${words.state}</th><th class="right">${words.time}</th></tr></thead>
    <tbody>${here.map(
      (row) => html`<tr key=${row.id} class=${row.kind} ...${OPEN("call", row.id)}>
      <td class="way"><${Glyph} of=${row.direction} /><span class="hidden">${words[row.direction]}</span></td>
      <td class="from"><${Party} ...${row.from} says=${words[row.word]} /></td>
      <td class="to"><${Party} ...${row.to} /></td>
      <td class="via"><span class="name">${row.via}</span></td>
      <td class="now"><${State} of=${row.kind} word=${words[row.word]} /></td>
      <td class="right"><${Timer} since=${row.started} /></td>
    </tr>`,
    )}</tbody>
    <${Left} count=${left} columns="6" />
  </table>`;
}

export function Missed() {
  const state = shown();
  const since = Date.parse(state.get("pbxstats")?.get("pbx")?.since ?? "") || midnight(now.value, zone.value);
  const all = missedRows(state, since);
  const rows = all.filter((row) => matches([row.num, row.name, row.to, words[row.outcome]], find.value));
  const { here, left } = usePagedRows(rows, 3);
  if (!rows.length) return html`<${Empty} text=${all.length ? words.nothingFound : words.noMissed} />`;
  return html`<table class="rows missed">
    <thead><tr><th>${words.when}</th><th>${words.who}</th><th class="via">${words.to}</th>
      <th>${words.outcome}</th><th class="right">${words.waited}</th></tr></thead>
    <tbody>${here.map(
      (row) => html`<tr key=${row.id} class=${row.spoken ? "spoken" : ""} ...${OPEN("ended", row.id)}>
      <td class="when"><${Opener} class="num" says=${`${row.num || words.anonymous} ${nameOf(row.num, row.name)}: ${words[row.outcome]}`}>${timeOfDay(row.ended, zone.value)}<//></td>
      <td class="from"><${Party} num=${row.num} name=${row.name} outside=${true} tel=${true} /></td>
      <td class="via"><span class="name">${row.to}</span></td>
      <td class="now"><${Outcome} row=${row} /></td>
      <td class="right"><span class="timer">${duration(row.waited, words.units)}</span></td>
    </tr>`,
    )}</tbody>
    <${Left} count=${left} columns="5" />
  </table>`;
}

/** What became of a call that nobody took. */
export function Outcome({ row: { outcome, spoken } }) {
  if (spoken) return html`<${State} of="done" word=${words.calledBack} />`;
  return html`<${State} of=${outcome === "missedCall" ? "ringing" : "away"} word=${words[outcome]} />`;
}

function Left({ count, columns }) {
  return count > 0 ? html`<tfoot><tr><td colspan=${columns}>${words.more(count)}</td></tr></tfoot>` : null;
}
