/** How tiles fill a screen. Sizes in rem. Pure. */

const ROW = 2.55; // rem, of a table: two lines
const HEAD = 1.9;

/** The grid of `count` tiles no smaller than `tile` in `space`: {cols, rows, perPage, pages}. */
export function fit(count, space, tile, gap = 0.5) {
  const mostCols = Math.max(1, Math.floor((space.w + gap) / (tile.w + gap)));
  const mostRows = Math.max(1, Math.floor((space.h + gap) / (tile.h + gap)));
  const pages = Math.max(1, Math.ceil(count / (mostCols * mostRows)));
  const each = Math.max(1, Math.ceil(count / pages)); // pages alike
  const rows = Math.min(mostRows, Math.ceil(each / mostCols));
  const cols = Math.min(mostCols, Math.ceil(each / rows));
  return { cols, rows, perPage: cols * rows, pages: Math.max(1, Math.ceil(count / (cols * rows))) };
}

/** The roomiest of `densities` ({w, h}, roomiest first) with the fewest pages. */
export function densest(count, space, densities) {
  const grids = densities.map((tile) => ({ ...fit(count, space, tile), tile }));
  return grids.reduce((best, grid) => (grid.pages < best.pages ? grid : best));
}

/** The grid that shows all at once and largest, a tile's `most` times; else the `densest`, larger where its tile `fills`. */
export function roomiest(count, space, densities) {
  const best = densest(count, space, densities);
  const growing = densities.filter((tile, at) => at === 0 || tile.grows);
  const found = largest(count, space, growing) ?? (best.tile.fills && largest(count, space, [best.tile]));
  return found ?? { ...best, zoom: 1 };
}

function largest(count, space, tiles) {
  for (let zoom = tiles[0].most ?? 3; zoom >= 1; zoom -= 0.125) {
    for (const tile of tiles) {
      const room = { w: space.w / zoom, h: space.h / zoom };
      const grid = fit(count, room, tile);
      if (grid.pages === 1 && room.w >= tile.w && room.h >= tile.h) return { ...grid, tile, zoom };
    }
  }
}

/** A table's pages on a screen of {w, h}, `most` of them: {perPage, pages, left, row}. `left`: rows on none; `row`: height. */
export function sheets(count, { w, h }, most) {
  const space = h - HEAD - (w < h ? 3.9 : 2.6);
  const perPage = Math.max(1, Math.floor(space / ROW));
  const pages = Math.min(most, Math.max(1, Math.ceil(count / perPage)));
  return { perPage, pages, left: Math.max(0, count - perPage * pages), row: space / Math.min(3 * Math.ceil(count / 3), perPage) };
}

const WIDTHS = [[/[:.,/\sijltfrI]/, 0.31], [/[%MWmwЖМФШЩЫЮжмшщыю]/, 0.88], [/[\d+A-ZА-Я]/, 0.65], [/^/, 0.58]];
/** A text's width in em, about as Inter's; `signs`: beside it. */
export const ems = (text, signs = 0) => [...`${text}`].reduce((sum, one) => sum + WIDTHS.find(([some]) => some.test(one))[1], 0.8 * signs);

/** A person's name, with as few initials as it needs to fit into `room` em. */
export function initialed(name, room) {
  const parts = name.match(/\S+/g) ?? [];
  for (let at = 0; at < parts.length - 1 && ems(parts.join(" ")) > room; at++) parts[at] = `${[...parts[at]][0]}.`;
  return parts.join(" ");
}

/** The scale up to 1 at which numbers fit `room`. `needs`: {fixed, value, label}: widths; a label is kept. */
export function shrunk(needs, room, least = 0.5) {
  const width = (scale) => needs.reduce((sum, { fixed, value, label }) => sum + fixed + Math.max(value * scale, label), 0);
  for (let scale = 1; scale > least; scale -= 0.02) if (width(scale) <= room) return scale;
  return least;
}

/** A page's items; the page may lie beyond the last one. */
export function pageOf(items, { perPage, pages }, page) {
  const at = Math.min(page, pages - 1) * perPage;
  return items.slice(at, at + perPage);
}
