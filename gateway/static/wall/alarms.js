/** The levels of queues, lines and licence, and the alarms. */

import { level, Steady } from "./levels.js";
import { limits, LOW } from "./settings.js";
import { settings } from "./store.js";
import { duration, instant } from "./times.js";

const steady = new Steady();
const ENOUGH = 10; // calls from which on a level is judged

/** A metric's level, held for a while. `queue`: "" for none; `target`: seconds; `now`: milliseconds. */
export function levelOf(metric, queue, value, now, target = 20, of = "") {
  const found = level(value, limits(settings.thresholds, metric, queue, target), LOW[metric]);
  return steady.level(`${metric}${of}.${queue}`, found, found || value ? now : Infinity);
}

/** How bad each number of a queue's tile is. */
export function queueLevels(row, now) {
  const seconds = row.oldest === null ? null : (now - instant(row.oldest)) / 1000;
  return {
    waiting: levelOf("waiting", row.num, row.waiting.length, now),
    wait: levelOf("wait", row.num, seconds, now, row.target),
    free: levelOf("free", row.num, row.staff ? row.agents.free : null, now),
    sl: levelOf("sl", row.num, row.stats && judged(row.stats) >= ENOUGH ? row.stats.serviceLevel : null, now),
    hour: levelOf("sl", row.num, lately(row.stats?.lastHour), now, undefined, "hour"),
  };
}

/** All queues: {waiting, oldest, day, levels}. The worst decides on who waits. */
export function totals(rows, now, free) {
  const each = rows.map((row) => queueLevels(row, now));
  const worst = (metric) => Math.max(0, ...each.map((levels) => levels[metric]));
  const whole = day(rows.map((row) => row.stats).filter(Boolean));
  return {
    waiting: sumOf(rows, (row) => row.waiting.length),
    oldest: rows.map((row) => row.oldest).filter(Boolean).sort()[0] ?? null,
    day: whole,
    levels: {
      waiting: worst("waiting"),
      wait: worst("wait"),
      sl: levelOf("sl", "", whole && whole.judged >= ENOUGH ? whole.level : null, now),
      hour: levelOf("sl", "", lately(whole?.hour), now, undefined, "hour"),
      free: levelOf("free", "", rows.some((row) => row.staff) ? free : null, now),
    },
  };
}

const sumOf = (rows, number) => rows.reduce((total, row) => total + number(row), 0);

/** How many callers a service level speaks of, about. */
const judged = (stats) => stats.offered - (stats.shortAbandoned ?? 0) - (stats.waiting ?? 0);

/** The last hour's service level; null with too few callers. */
const lately = (hour) => hour && hour.counted >= ENOUGH ? hour.serviceLevel : null;

function hourOf(stats) {
  const hours = stats.map((one) => one.lastHour).filter(Boolean);
  const counted = sumOf(hours, (one) => one.counted);
  const inTarget = sumOf(hours, (one) => one.answeredInTarget);
  return hours.length ? { counted, serviceLevel: counted ? (100 * inTarget) / counted : null } : null;
}

function day(stats) {
  if (!stats.length) return null;
  const sum = (name) => sumOf(stats, (one) => one[name] ?? 0);
  const known = stats.filter((one) => typeof one.serviceLevel === "number");
  const weight = (one) => Math.max(1, judged(one));
  const weights = sumOf(known, weight);
  return {
    offered: sum("offered"),
    answered: sum("answered"),
    abandoned: sum("abandoned"),
    judged: weights,
    hour: hourOf(stats),
    level: known.length ? sumOf(known, (one) => one.serviceLevel * weight(one)) / weights : null,
  };
}

/** The alarms, and a warning of the licence, by subject: {text, level}. */
export function alarmsOf(rows, lines, licence, now, words) {
  const said = new Map();
  const say = (about, text, level = 2) => said.set(about, { text, level });
  for (const row of rows) {
    const levels = queueLevels(row, now);
    const name = `${row.num} ${row.name}`;
    if (levels.waiting === 2) say(`waiting.${row.num}`, words.alarmWaiting(name, row.waiting.length));
    if (levels.wait === 2)
      say(`wait.${row.num}`, words.alarmWait(name, duration(now - instant(row.oldest), words.units)));
    if (levels.free === 2) say(`free.${row.num}`, words.alarmFree(name, row.agents.free));
    if (levels.hour === 2) say(`sl.${row.num}`, words.alarmLevel(name, Math.round(row.stats.lastHour.serviceLevel)));
  }
  for (const line of lines)
    if (line.registered === false) say(`line.${line.num}`, words.alarmLine(line.name || line.num));
  if (licence?.level) say("licence", words.alarmLicence(licence.used, licence.limit), licence.level);
  return said;
}
