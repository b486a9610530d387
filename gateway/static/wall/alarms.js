/** Which numbers are bad enough to say so: levels a queue, of the lines and of the licence; and a sound. */

import { level, Steady } from "./levels.js";
import { INVERTED, limits } from "./settings.js";
import { settings } from "./store.js";
import { duration, instant } from "./times.js";

const steady = new Steady();

/** The level of a metric of a queue ("" for none), held for a while. `target`: seconds; `now`: milliseconds. */
export function levelOf(metric, queue, value, now, target = 20) {
  const found = level(value, limits(settings.thresholds, metric, queue, target), INVERTED.has(metric));
  return steady.level(`${metric}.${queue}`, found, now);
}

/** How bad each number of a queue's tile is. */
export function queueLevels(row, now) {
  const seconds = row.oldest === null ? null : (now - instant(row.oldest)) / 1000;
  return {
    waiting: levelOf("waiting", row.num, row.waiting.length, now),
    wait: levelOf("wait", row.num, seconds, now, row.target),
    free: levelOf("free", row.num, row.staff ? row.agents.free : null, now),
    sl: levelOf("sl", row.num, row.stats?.serviceLevel ?? null, now),
  };
}

/** All queues together: {waiting, oldest, day, levels}. The worst queue decides of the levels. */
export function totals(rows, now) {
  const each = rows.map((row) => queueLevels(row, now));
  const worst = (metric) => Math.max(0, ...each.map((levels) => levels[metric]));
  const olds = rows
    .map((row) => row.oldest)
    .filter(Boolean)
    .sort();
  return {
    waiting: rows.reduce((sum, row) => sum + row.waiting.length, 0),
    oldest: olds[0] ?? null,
    day: day(rows.map((row) => row.stats).filter(Boolean)),
    levels: { waiting: worst("waiting"), wait: worst("wait"), sl: worst("sl") },
  };
}

function day(stats) {
  if (!stats.length) return null;
  const sum = (name) => stats.reduce((total, one) => total + (one[name] ?? 0), 0);
  const judged = stats.filter((one) => one.serviceLevel !== null && one.serviceLevel !== undefined);
  const weight = (one) => Math.max(1, one.offered - (one.shortAbandoned ?? 0));
  const weights = judged.reduce((total, one) => total + weight(one), 0);
  return {
    offered: sum("offered"),
    answered: sum("answered"),
    abandoned: sum("abandoned"),
    level: judged.length ? judged.reduce((total, one) => total + one.serviceLevel * weight(one), 0) / weights : null,
  };
}

/** The sentences of what is an alarm now, by what it is about. */
export function alarmsOf(rows, lines, licence, now, words) {
  const said = new Map();
  for (const row of rows) {
    const levels = queueLevels(row, now);
    const name = `${row.num} ${row.name}`;
    if (levels.waiting === 2) said.set(`waiting.${row.num}`, words.alarmWaiting(name, row.waiting.length));
    if (levels.wait === 2)
      said.set(`wait.${row.num}`, words.alarmWait(name, duration(now - instant(row.oldest), words.units)));
    if (levels.free === 2) said.set(`free.${row.num}`, words.alarmFree(name));
  }
  for (const line of lines)
    if (line.registered === false) said.set(`line.${line.num}`, words.alarmLine(line.name || line.num));
  if (licence && licence.level === 2) said.set("licence", words.alarmLicence(licence.used, licence.limit));
  return said;
}
