/** How tiles fill a screen. Sizes in rem. No input or output. */

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

/** The items of a page; the page may lie beyond the last one after some have gone. */
export function pageOf(items, { perPage, pages }, page) {
  const at = Math.min(page, pages - 1) * perPage;
  return items.slice(at, at + perPage);
}
