/** How bad a value is: 0 well, 1 warning, 2 alarm. Pure. */

/** `limits`: [warn, alarm], null for never. `bad`: `from` the limit on, `downTo` it, or `below` it. */
export function level(value, [warn, alarm], bad = "from") {
  if (value == null) return 0;
  const isBad = (limit) => bad === "from" ? value >= limit : bad === "downTo" ? value <= limit : Math.round(value) < limit; // as shown
  const beyond = (limit) => limit !== null && isBad(limit);
  return beyond(alarm) ? 2 : beyond(warn) ? 1 : 0;
}

/** A level that rises at once and falls late, so that tiles do not flicker. */
export class Steady {
  #held = new Map();

  constructor(hold = 3_000) {
    this.hold = hold;
  }

  /** The level to show of `name`, at `now` (ms; Infinity: at once) at `level`. */
  level(name, level, now) {
    const held = this.#held.get(name);
    if (level < held?.level && now - held.at < this.hold) return held.level;
    this.#held.set(name, { level, at: now });
    return level;
  }
}
