/** A view's tiles: a grid that fills the screen and pages in TV mode, or one that scrolls. */

import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { signal } from "@preact/signals";
import { pageOf, roomiest, shrunk } from "./fit.js";
import { html } from "./parts.js";
import { page, kiosk, phone, size } from "./store.js";

export const pages = signal(1); // of the view that is shown
export const unseen = signal(0); // tiles that are on none of them

const above = signal(5.6); // rem of the strip above the tiles
const GAP = 0.5; // rem between tiles

/**
 * `items` in tiles no smaller than one of `tiles` ({w, h} in rem, roomiest first; `phone`: where one scrolls).
 * A TV begins with those that `urgent` sorts first, and shows `most` pages. `least`: as many have room, without a strip.
 * `draw(item, tile, room)`; `room`: a tile's {w, h, zoom}, h null where it may grow.
 */
export function Tiles({ items, tiles, draw, name, urgent, least = 0, most = Infinity }) {
  const space = { w: size.value.w, h: size.value.h - (least ? 0 : above.value) };
  const legible = tiles.find((one) => one.phone);
  const best = roomiest(Math.max(least, items.length), space, tiles);
  const scrolls = phone.value || (legible && !kiosk && best.pages > 1);
  const grid = scrolls ? { tile: legible ?? tiles[0], zoom: 1 } : best;
  const paged = kiosk && grid.pages > 1;
  const shown = Math.min(grid.pages, most);
  usePages(kiosk ? shown : 1, paged ? Math.max(0, items.length - shown * grid.perPage) : 0);
  const sorted = paged && urgent ? [...items].sort(urgent) : items;
  const here = kiosk ? pageOf(sorted, { ...grid, pages: shown }, page.value) : items;
  const fixed = kiosk || grid.pages === 1;
  const { tile, rows, zoom } = grid;
  const cols = fixed ? grid.cols : Math.max(1, Math.floor((space.w + GAP) / (tile.w + GAP)));
  const wider = fixed && !paged && here.length >= least && cols < 4 && cols * rows - here.length === 1; // the last row fills it
  const room = (at) => {
    const each = wider && at >= cols * (rows - 1) ? cols - 1 : cols;
    return { zoom, w: (space.w / zoom - GAP * (each - 1)) / each, h: fixed ? (space.h / zoom - GAP * (rows - 1)) / rows : null };
  };
  const gridTemplate = fixed
    ? `repeat(${rows}, 1fr) / repeat(${wider ? cols * (cols - 1) : cols}, 1fr)`
    : `none / repeat(auto-fill, minmax(min(100%, ${tile.w}rem), 1fr))`;
  return html`<div class=${`tiles ${name} ${fixed ? "whole" : ""} ${wider ? `of${cols}` : ""}`} style=${{ gridTemplate, zoom }}>${here.map((item, at) => draw(item, tile, room(at)))}</div>`;
}

/** The numbers above the tiles. `items`: Kpis, or null. */
export function Strip({ items, label }) {
  const strip = useRef(null);
  useLayoutEffect(() => {
    const measure = () => fitStrip(strip.current);
    const observer = new ResizeObserver(measure);
    for (const each of strip.current.querySelectorAll(".value > *, .label")) observer.observe(each);
    observer.observe(strip.current);
    measure();
    return () => observer.disconnect();
  });
  const kept = items.filter(Boolean);
  const each = phone.value ? 3 : !kiosk || size.value.w > size.value.h ? kept.length : kept.length > 5 ? 2 : 3;
  const rows = [];
  while (kept.length) rows.push(kept.splice(0, each));
  return html`<section class="strip" ref=${strip} aria-label=${label}>${rows.map(
    (row, index) => html`<div class="band" key=${index}>${row}</div>`,
  )}</section>`;
}

export const rem = () => parseFloat(getComputedStyle(document.documentElement).fontSize);

/** Draw the numbers as large as all fit; labels get two lines at need. */
function fitStrip(strip) {
  let scale = phone.value ? 0.5 : scaleOf(strip, false);
  if (scale <= 0.5) scale = Math.min(phone.value ? 1 : 0.8, scaleOf(strip, true));
  strip.style.fontSize = `${scale}rem`;
  const height = strip.offsetHeight / rem() + GAP;
  if (Math.abs(height - above.value) > 0.05) above.value = height;
}

function scaleOf(strip, two) {
  strip.style.fontSize = "1rem";
  strip.classList.toggle("two", two);
  const scales = [...strip.querySelectorAll(".band")].map((band) => {
    const style = getComputedStyle(band);
    const gaps = parseFloat(style.columnGap) * (band.children.length - 1);
    const needs = [...band.children].map((kpi) => {
      const [{ offsetWidth: value }, text] = kpi.children;
      const widest = Math.max(...text.textContent.split(" ").map((one) => one.length));
      const label = two ? 0.58 * parseFloat(getComputedStyle(text).fontSize) * widest : text.offsetWidth;
      return { fixed: 2 * (kpi.clientLeft + parseFloat(getComputedStyle(kpi).paddingLeft)), value, label };
    });
    return shrunk(needs, band.clientWidth - gaps);
  });
  return Math.min(...scales);
}

/** Say how many pages there are, and how many items on none. */
export function usePages(count, left = 0) {
  useEffect(() => {
    pages.value = count;
    unseen.value = left;
  }, [count, left]);
}
