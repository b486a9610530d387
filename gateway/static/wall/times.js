/** Instants and durations as people read them. Pure. */

/** The milliseconds of an instant; null if there is none. */
export const instant = (text) => (text ? Date.parse(text) : null);

/** A duration in milliseconds: `m:ss`, `h:mm:ss`, `2 d 3 h`; never negative. `units`: the words for day and hour. */
export function duration(milliseconds, units = { d: "d", h: "h" }) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const [days, hours] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600)];
  if (days > 0) return `${days}\u00a0${units.d} ${hours % 24}\u00a0${units.h}`;
  const [minutes, rest] = [Math.floor(seconds / 60) % 60, two(seconds % 60)];
  return hours > 0 ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
}

const clocks = new Map(); // by time zone

const HOUR = 3_600_000;

/** `14:03` in that zone; in the browser's where it is empty or unknown. */
export function timeOfDay(milliseconds, zone = "") {
  if (!clocks.has(zone)) clocks.set(zone, clockOf(zone));
  return clocks.get(zone).format(milliseconds);
}

function clockOf(zone) {
  const form = (timeZone) => new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone });
  try {
    return form(zone || undefined);
  } catch {
    return form();
  }
}

/** The day's beginning in that zone, as above. */
export function midnight(now, zone = "") {
  const passed = (at) => {
    const [hours, minutes] = timeOfDay(at, zone).split(":");
    return hours * HOUR + minutes * 60_000;
  };
  const begin = now - passed(now) - (now % 60_000);
  const off = passed(begin); // not 0 if clocks were changed
  const first = begin - off + (off > 12 * HOUR) * 24 * HOUR;
  return passed(first - HOUR) ? first : first - HOUR; // may come twice
}

const two = (number) => String(number).padStart(2, "0");
