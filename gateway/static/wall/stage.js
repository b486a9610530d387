/** Where a view's tiles go: a grid that fills the screen and pages in TV mode, or one that scrolls. */

import { useEffect } from "preact/hooks";
import { signal } from "@preact/signals";
import { densest, pageOf, sheets } from "./fit.js";
import { html } from "./parts.js";
import { page, settings, size } from "./store.js";

export const pages = signal(1); // of the view that is shown

const STRIP = 5.6; // rem that the strip of numbers takes
const ROWS = 500; // that a browser draws without effort

/**
 * `items` in tiles no smaller than `tile` ({w, h} in rem, or several, roomiest first). `draw(item, tile, room)`; `room`:
 * what each tile has, {w, h}, h null where it may grow.
 */
export function Tiles({ items, tile, draw, strip = true, name }) {
  const tiles = Array.isArray(tile) ? tile : [tile];
  const phone = size.value.w < 40 && !settings.kiosk;
  const space = { w: size.value.w, h: size.value.h - (strip ? STRIP : 0) };
  const grid = densest(items.length, space, tiles);
  const paged = settings.kiosk;
  usePages(paged ? grid.pages : 1);
  const here = paged ? pageOf(items, grid, page.value) : items;
  const style = paged
    ? {
        gridTemplateColumns: `repeat(${grid.cols}, minmax(0, 1fr))`,
        gridTemplateRows: `repeat(${grid.rows}, minmax(0, ${grid.tile.most ? `${grid.tile.most}rem` : "1fr"}))`,
      }
    : { gridTemplateColumns: phone ? "minmax(0, 1fr)" : `repeat(auto-fill, minmax(${grid.tile.w}rem, 1fr))` };
  const cols = paged ? grid.cols : phone ? 1 : Math.max(1, Math.floor((space.w + 0.5) / (grid.tile.w + 0.5)));
  const room = {
    w: (space.w - 0.5 * (cols - 1)) / cols,
    h: paged ? (space.h - 0.5 * (grid.rows - 1)) / grid.rows : null,
  };
  return html`<div class=${`tiles ${name}`} style=${style}>${here.map((item) => draw(item, grid.tile, room))}</div>`;
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
