/** The page's address is its configuration. Pure. */

import { STATES } from "./people.js";

export const VIEWS = ["queues", "agents", "calls", "missed", "lines", "everybody"];
/** What of a view may be shown alone, by the keys of their words. */
export const KINDS = {
  calls: ["waiting", "inQueue", "ringing", "talking", "routing", "dialing", "transferring", "inMenu"],
  agents: STATES,
  missed: ["missedCall", "abandonedCall", "menuCall", "calledBack"],
  lines: ["registered", "unregistered"],
};
KINDS.everybody = KINDS.agents;
/** Names in the address that pick what is shown, and the stream's filters of that. */
export const LISTS = { queues: "queue", groups: "group", ext: "ext", lines: "line", extgroups: "extgroup" };

/** Each metric's [warn, alarm]: counts, seconds or percent; null: never. */
export const THRESHOLDS = {
  waiting: [3, 6],
  wait: [null, null], // from the queue's target: once, three times
  free: [0, null],
  sl: [80, 60],
  licence: [80, 95],
};
/** Metrics that are bad when low. */
export const LOW = { free: "downTo", sl: "below" };

/** `search`: of the address. `languages`: those that there are words for; `preferred`: the browser's. */
export function parseSettings(search, { languages = ["en"], preferred = [] } = {}) {
  const given = new URLSearchParams(search);
  const good = (name) => (GOOD[name](given.get(name) ?? "", languages) ? given.get(name) : null);
  const views = list(given.get("view")).filter((view) => VIEWS.includes(view));
  return {
    views: views.length ? views : ["queues"],
    kiosk: flag(good("kiosk")),
    theme: good("theme") ?? "auto",
    lang: language([given.get("lang"), ...preferred], languages),
    filter: streamFilter(given),
    find: given.get("find") ?? "",
    pbx: given.get("pbx") ?? "",
    only: good("only") ?? "",
    sort: good("sort") ?? "",
    title: good("title") ?? "",
    page: Number(good("page") ?? 10),
    sound: flag(good("sound")),
    thresholds: thresholds(given),
    problems: [...given].map(([name, value]) => problem(name, value, languages)).filter(Boolean),
  };
}

const METRIC = new RegExp(`^(${Object.keys(THRESHOLDS).join("|")})(\\.[^.]+)?$`);
const LIMIT = /^(\d+(\.\d+)?)?$/;
const limitsRead = (text) => text.split(",").length < 3 && text.split(",").every((one) => LIMIT.test(one.trim()));
const flagRead = (text) => /^([01]?|true|false)$/.test(text);
/** Of each setting whether it is understood; else its default holds. */
const GOOD = {
  view: (text) => list(text).length > 0 && list(text).every((view) => VIEWS.includes(view)),
  theme: (text) => /^(dark|light)$/.test(text),
  lang: (text, languages) => languages.includes(text.slice(0, 2).toLowerCase()),
  page: (text) => text >= 3 && text <= 600,
  kiosk: flagRead,
  sound: flagRead,
  title: (text) => text.length <= 60,
  find: () => true,
  pbx: () => true,
  only: (text) => Object.values(KINDS).flat().includes(text),
  sort: (text) => /^-?(direction|from|to|via|state|time|when|who|outcome|waited)$/.test(text),
};

/** What is wrong with a setting: {given, known}, or null. */
function problem(name, value, languages) {
  const good =
    GOOD[name] ??
    (METRIC.test(name) ? limitsRead : name in LISTS ? (text) => list(text).length > 0 : undefined);
  if (name.startsWith("_") || good?.(value, languages)) return null; // "_": of caches and tests
  return { given: `${name}=${value}`.slice(0, 60), known: good !== undefined };
}

/** A metric's thresholds, a queue's own first. `target`: the queue's, in seconds. */
export function limits(thresholds, metric, queue, target) {
  const own = thresholds[`${metric}.${queue}`] ?? thresholds[metric];
  if (own) return own;
  return metric === "wait" ? [target, 3 * target] : THRESHOLDS[metric];
}

function streamFilter(given) {
  const filter = {};
  for (const [name, field] of Object.entries(LISTS)) {
    const values = list(given.get(name));
    if (values.length) filter[field] = values;
  }
  return Object.keys(filter).length ? filter : undefined;
}

function thresholds(given) {
  const found = {};
  for (const [name, value] of given) {
    if (METRIC.test(name) && limitsRead(value)) found[name] = [0, 1].map((at) => number(value.split(",")[at]));
  }
  return found;
}

const number = (text) => (text?.trim() ? Number(text) : null);

function language(wanted, known) {
  const found = wanted.map((one) => one?.slice(0, 2).toLowerCase()).find((one) => known.includes(one));
  return found ?? known[0];
}

const list = (text) => (text ?? "").split(",").map((one) => one.trim()).filter(Boolean);

const flag = (text) => ![null, "0", "false"].includes(text);
