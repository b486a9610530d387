/** How bad things are at each PBX, and which come first. No input or output. */

import { level } from "../wall/levels.js";
import { limits } from "../wall/settings.js";
import { instant } from "../wall/times.js";

/** Seconds of the longest wait that are a warning; three times as many are an alarm. */
export const WAIT = 60;

/** The levels of a summary at a time (milliseconds): {all, connection, waiting, wait, lines, licence}. */
export function levels(pbx, thresholds, time) {
  const of = (metric, value, bad) => level(value, limits(thresholds, metric, "", WAIT), bad);
  const since = instant(pbx.waitingSince);
  const used = pbx.licenceLimit && pbx.calls !== null ? (100 * pbx.calls) / pbx.licenceLimit : null;
  const found = {
    connection: pbx.connection === "connected" ? 0 : pbx.connection === "connecting" ? 1 : 2,
    waiting: of("waiting", pbx.waiting),
    wait: of("wait", since === null ? null : (time - since) / 1_000),
    lines: pbx.alarms.includes("lines") ? 1 : 0,
    licence: of("licence", used),
  };
  return { ...found, all: Math.max(...Object.values(found)) };
}

/** Worst first: by level, those without a connection, the longest wait, then by name. Nothing that ticks moves a tile. */
export function worstFirst(one, other) {
  return (
    other.level - one.level ||
    other.found.connection - one.found.connection ||
    waits(one.pbx) - waits(other.pbx) ||
    one.pbx.name.localeCompare(other.pbx.name, "en", { numeric: true })
  );
}

function waits({ waitingSince }) {
  return waitingSince ? Date.parse(waitingSince) : Number.MAX_SAFE_INTEGER;
}

/** What stands above the tiles: {count, away, calls, waiting, since}. `since`: of the longest wait, or null. */
export function totals(pbxs) {
  const sum = (field) => pbxs.reduce((total, pbx) => total + (pbx[field] ?? 0), 0);
  const since = pbxs.map((pbx) => pbx.waitingSince).filter(Boolean);
  return {
    count: pbxs.length,
    away: pbxs.filter((pbx) => pbx.connection !== "connected").length,
    calls: sum("calls"),
    waiting: sum("waiting"),
    since: since.length ? since.reduce((least, one) => (one < least ? one : least)) : null,
  };
}
