/** How tiles fill a screen. Sizes in rem. No input or output. */

const ROW = 1.78; // rem, of a table
const HEAD = 1.9;
const ZOOMS = [3, 2.75, 2.5, 2.25, 2, 1.75, 1.5, 1.375, 1.25, 1.125, 1];

/** The grid of `count` tiles no smaller than `tile` in `space`: {cols, rows, perPage, pages}. */
export function fit(count, space, tile, gap = 0.5) {
  const mostCols = Math.max(1, Math.floor((space.w + gap) / (tile.w + gap)));
  const mostRows = Math.max(1, Math.floor((space.h + gap) / (tile.h + gap)));
  const pages = Math.max(1, Math.ceil(count / (mostCols * mostRows)));
  const each = Math.max(1, Math.ceil(count / pages)); // pages alike, not a last one with a single tile
  const rows = Math.min(mostRows, Math.ceil(each / mostCols));
  const cols = Math.min(mostCols, Math.ceil(each / rows));
  return { cols, rows, perPage: cols * rows, pages: Math.max(1, Math.ceil(count / (cols * rows))) };
}

/** Of `densities` ({w, h}, roomiest first) the roomiest with which there are the fewest pages. */
export function densest(count, space, densities, gap = 0.5) {
  const grids = densities.map((tile) => ({ ...fit(count, space, tile, gap), tile }));
  return grids.reduce((best, grid) => (grid.pages < best.pages ? grid : best));
}

/**
 * The grid that shows all at once as large as it can: the roomiest tile, or one that `grows`, drawn larger where there
 * is room; where none fits as it is, the `densest`. `zoom`: how much larger.
 */
export function roomiest(count, space, densities) {
  const growing = densities.filter((tile, at) => at === 0 || tile.grows);
  for (const zoom of ZOOMS) {
    for (const tile of growing) {
      const room = { w: space.w / zoom, h: space.h / zoom };
      const grid = fit(count, room, tile);
      if (grid.pages === 1 && room.w >= tile.w && room.h >= tile.h) return { ...grid, tile, zoom };
    }
  }
  return { ...densest(count, space, densities), zoom: 1 };
}

/**
 * How the rows of a table, with its head and foot, go on pages of a screen `height` high, on no more than `most`:
 * {perPage, pages, left}. `left`: how many find no place.
 */
export function sheets(count, height, most) {
  const perPage = Math.max(1, Math.floor((height - HEAD) / ROW) - 1);
  const pages = Math.min(most, Math.max(1, Math.ceil(count / perPage)));
  return { perPage, pages, left: Math.max(0, count - perPage * pages) };
}

/**
 * How large the numbers of a strip may be, 1 or less, that all fit into `room`. `needs`: of each number {fixed, value,
 * label}: what does not shrink, the number's width at 1, and the least that is kept for its label.
 */
export function shrunk(needs, room, least = 0.5) {
  const width = (scale) => needs.reduce((sum, { fixed, value, label }) => sum + fixed + Math.max(value * scale, label), 0);
  for (let scale = 1; scale > least; scale -= 0.02) if (width(scale) <= room) return scale;
  return least;
}

/** The items of a page; the page may lie beyond the last one after some have gone. */
export function pageOf(items, { perPage, pages }, page) {
  const at = Math.min(page, pages - 1) * perPage;
  return items.slice(at, at + perPage);
}
