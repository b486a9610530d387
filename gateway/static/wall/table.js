/** Tables: a column's head sorts, totals stand below, only rows in sight are drawn. */

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { ems, sheets } from "./fit.js";
import { html } from "./parts.js";
import { sorted } from "./rows.js";
import { KINDS } from "./settings.js";
import { usePages } from "./stage.js";
import { page, kiosk, phone, settings, size, sorting, words } from "./store.js";

const HIGH = 3.3; // rem of three lines
const STEP = 12; // rows that come and go together, and that are drawn beyond those in sight

/**
 * `columns`: {name, label, class, value, cell}: `value(row)` is what is sorted by, `cell(row)` what stands there.
 * `order`: how rows are sorted unless somebody chooses: a column's name, with "-" the greatest first.
 * `attributes(row)`: of the row's element. `totals`: what stands below. `most`: pages in TV mode.
 * `kept`: the choice stands in the address.
 */
export function Table({ name, columns, rows, order, attributes, totals, most = Infinity, kept = true }) {
  const own = useSignal("");
  const body = useRef(null);
  const chosen = kept ? sorting : own;
  const by = columns.some((column) => column.name === chosen.value.replace("-", "")) ? chosen.value : order;
  const all = by === order ? rows : sorted(rows, columns, by, settings.lang);
  const { from, to, height, left, row } = kiosk ? usePage(all.length, most) : useSight(body, all.length);
  const here = all.slice(from, to);
  const widest = Math.max(...(KINDS[name] ?? []).map((kind) => ems(words[kind]))); // of the words of a state
  const wraps = (text, more) => text.length > size.value.w && ems(text) + 2 * more > size.value.w - 5.4;
  const long = ({ name, value }) => /from|who|to/.test(name) && all.some((row) => wraps(value(row), row.calls?.length > 1));
  return html`<table class=${`rows ${name} ${phone.value ? "" : "tall"} ${row > HIGH ? "high" : ""}`} style=${{ "--words": `${2.9 + widest}rem`, "--row": `${row - 0.05}rem`, "--lines": 3 + (phone.value && columns.filter(long).length) }} aria-rowcount=${all.length + 1}>
    <thead><tr aria-rowindex="1">${columns.map((one) => html`<${Head} column=${one} by=${by} chosen=${chosen} />`)}</tr></thead>
    <tbody ref=${body}>
      <${Space} rows=${from} height=${height} />
      ${here.map(
        (row, at) => html`<tr key=${row.id} aria-rowindex=${from + at + 2} ...${attributes?.(row)}>${columns.map(
          (one) => html`<td class=${one.class}>${one.cell(row)}</td>`,
        )}</tr>`,
      )}
      <${Space} rows=${all.length - to} height=${height} />
    </tbody>
  </table>
  ${totals && html`<div class="totals">${left > 0 && html`<b>${words.more(left)}</b>`}${totals}</div>`}`;
}

function Head({ column: { name, label, class: kind }, by, chosen }) {
  const down = by === `-${name}`;
  const text = html`<span class=${kind === "way" && "hidden"}>${label}</span>`;
  return html`<th class=${kind} aria-sort=${down ? "descending" : by === name ? "ascending" : null}>${
    kiosk
      ? text
      : html`<button onClick=${() => (chosen.value = by === name ? `-${name}` : name)}>${text}</button>`
  }</th>`;
}

/** The place of rows that are not drawn. */
const Space = ({ rows, height }) => rows > 0 && height > 0 && html`<tr class="space" aria-hidden="true"><td style=${{ height: `${rows * height}px` }}></td></tr>`;

/** TV mode: the rows of the page that is shown; `left`: so many are on none. */
function usePage(count, most) {
  const { perPage, pages, left, row } = sheets(count, size.value, most);
  usePages(pages);
  const from = perPage * Math.min(page.value, pages - 1);
  return { from, to: from + perPage, height: 0, left, row };
}

/** Which of `count` equally high rows are in sight: {from, to, height}. */
function useSight(body, count) {
  const [sight, setSight] = useState({ from: 0, to: 4 * STEP, height: 0 });
  usePages(1);
  useLayoutEffect(() => {
    const look = () => {
      const [one, next] = body.current.querySelectorAll("tr:not(.space)");
      const height = next && next.getBoundingClientRect().top - one.getBoundingClientRect().top;
      if (!height) return; // too few rows, or in a dialog that is not open yet
      const { top } = body.current.getBoundingClientRect();
      const at = (pixels) => STEP * Math.floor(pixels / height / STEP);
      const from = Math.max(0, Math.min(at(-top), at(count * height)) - STEP);
      const to = Math.max(from + STEP, at(innerHeight - top) + 2 * STEP);
      setSight((was) => (was.from === from && was.to === to && was.height === height ? was : { from, to, height }));
    };
    look();
    addEventListener("scroll", look, { capture: true, passive: true });
    addEventListener("resize", look);
    return () => {
      removeEventListener("scroll", look, { capture: true });
      removeEventListener("resize", look);
    };
  });
  return sight;
}
