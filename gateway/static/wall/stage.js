/** Where a view's tiles go: a grid that fills the screen and pages in TV mode, or one that scrolls. */

import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { computed, signal } from "@preact/signals";
import { pageOf, roomiest, sheets, shrunk } from "./fit.js";
import { html } from "./parts.js";
import { page, settings, size } from "./store.js";

export const pages = signal(1); // of the view that is shown

/** Rows of the strip of numbers: a portrait TV has two. */
export const bands = computed(() => (settings.kiosk && size.value.h > size.value.w ? 2 : 1));
const BAND = 5.6; // rem that each of them takes
const GAP = 0.5; // rem between tiles
const ROWS = 500; // that a browser draws without effort

/**
 * `items` in tiles no smaller than `tile` ({w, h} in rem, or several, roomiest first; `most`: how high a
 * row may grow; `phone`: which one is for phones).
 * `draw(item, tile, room)`; `room`: what each tile has, {w, h}, h null where it may grow.
 */
export function Tiles({ items, tile, draw, name }) {
  const tiles = Array.isArray(tile) ? tile : [tile];
  const { kiosk } = settings;
  const phone = size.value.w < 40 && !kiosk;
  const space = { w: size.value.w, h: size.value.h - BAND * bands.value };
  const grid = phone ? onPhone(tiles) : roomiest(items.length, space, tiles);
  usePages(kiosk ? grid.pages : 1);
  const here = kiosk ? pageOf(items, grid, page.value) : items;
  const fixed = kiosk || grid.pages === 1;
  const { cols, rows, style } = fixed ? filling(grid) : scrolling(grid, space);
  const room = {
    w: (space.w / grid.zoom - GAP * (cols - 1)) / cols,
    h: fixed ? (space.h / grid.zoom - GAP * (rows - 1)) / rows : null,
  };
  return html`<div class=${`tiles ${name} ${fixed ? "whole" : ""}`} style=${style}>${here.map((item) => draw(item, grid.tile, room))}</div>`;
}

/** The numbers above the tiles, as large as all of them fit. `items`: Kpis, or null. */
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
  const each = Math.ceil(kept.length / bands.value);
  const rows = Array.from({ length: bands.value }, (_, row) => kept.slice(row * each, (row + 1) * each));
  return html`<section class="strip" ref=${strip} aria-label=${label}>${rows.map(
    (row, index) => html`<div class="band" key=${index}>${row}</div>`,
  )}</section>`;
}

/** Measure what the numbers need, and draw them so large. */
function fitStrip(strip) {
  strip.style.fontSize = "1rem";
  const scales = [...strip.querySelectorAll(".band")].map((band) => {
    const style = getComputedStyle(band);
    const gaps = parseFloat(style.columnGap) * (band.children.length - 1);
    const needs = [...band.children].map((kpi) => {
      const { paddingLeft, paddingRight, borderLeftWidth } = getComputedStyle(kpi);
      const [value, label] = [...kpi.children].map((each) => each.offsetWidth);
      return { fixed: parseFloat(paddingLeft) + parseFloat(paddingRight) + 2 * parseFloat(borderLeftWidth), value, label };
    });
    return style.display === "flex" ? shrunk(needs, band.clientWidth - gaps) : 1;
  });
  strip.style.fontSize = `${Math.min(...scales)}rem`;
}

function filling({ cols, rows, tile, zoom }) {
  const style = {
    gridTemplateColumns: `repeat(${cols}, minmax(0, 1fr))`,
    gridTemplateRows: `repeat(${rows}, minmax(0, ${tile.most ? `${tile.most}rem` : "1fr"}))`,
    zoom,
  };
  return { cols, rows, style };
}

function onPhone(tiles) {
  return { tile: tiles.find((one) => one.phone) ?? tiles[0], zoom: 1 };
}

function scrolling({ tile }, space) {
  const cols = Math.max(1, Math.floor((space.w + GAP) / (tile.w + GAP)));
  return { cols, style: { gridTemplateColumns: `repeat(auto-fill, minmax(min(100%, ${tile.w}rem), 1fr))`, zoom: 1 } };
}

/**
 * The rows of a table: {here, left}. `here`: those that fit; where it may scroll, the first ones. In TV mode no more
 * than `most` pages. `left`: how many are never shown.
 */
export function usePagedRows(items, most = Infinity) {
  const { kiosk } = settings;
  const grid = kiosk ? sheets(items.length, size.value.h, most) : { perPage: ROWS, pages: 1, left: items.length - ROWS };
  usePages(grid.pages);
  return { here: pageOf(items, grid, page.value), left: Math.max(0, grid.left) };
}

function usePages(count) {
  useEffect(() => {
    pages.value = count;
  }, [count]);
}
