/** Signals: the state once a frame, the ticker, the viewer's choices. */

import { batch, computed, effect, signal } from "@preact/signals";
import { StreamClient } from "callmon";
import { KINDS, parseSettings } from "./settings.js";
import { LANGUAGES } from "./words.js";

const BLIP = 2_500; // milliseconds for which nothing is said of a lost connection
const OTHERS = document.documentElement.dataset.topics?.split(",");
const TOPICS = OTHERS ?? ["system", "calls", "extensions", "queues", "lines", "ended"];
const FIGURES = ["queuestats", "extstats", "pbxstats"];

export const settings = parseSettings(location.search, {
  languages: Object.keys(LANGUAGES),
  preferred: navigator.languages ?? [],
});
export const { kiosk } = settings; // TV mode
export const words = (await LANGUAGES[settings.lang]()).default;

const bright = !kiosk && matchMedia("(prefers-color-scheme: light)").matches;
export const singleKeys = signal(remembered("keys") !== "0"); // dictation presses some, too
export const view = signal(settings.views[0]);
export const page = signal(0);
export const find = signal(settings.find);
export const wanted = signal(settings.only);
export const only = computed(() => (KINDS[view.value]?.includes(wanted.value) ? wanted.value : "")); // or all
export const sorting = signal(settings.sort); // a table's column, with "-" the greatest first
export const detail = signal(null); // {kind, id} of what is open
export const theme = signal(settings.theme === "auto" ? (remembered("theme") ?? (bright ? "light" : "dark")) : settings.theme);
export const size = signal({ w: 80, h: 45 }); // of the stage, in rem
export const phone = computed(() => size.value.w < 40 && !kiosk);
export const now = signal(Date.now()); // the server's time, once a second; stands still while paused
export const clock = signal(now.value); // the server's time, always
export const connection = signal({ status: "connecting", since: Date.now() });
export const staleSince = signal(null);
export const hello = signal(null);
export const frame = signal(0); // counts what is to be drawn anew
export const paused = signal(null); // {state, at, changes} while it is
export const lag = signal(null);

let client = null;
let asked = false; // whether a frame was asked for
let drawing = 4; // milliseconds that drawing took lately

/** What to draw: the stream's state, or that of the moment of the pause. */
export function shown() {
  frame.value;
  return paused.value?.state ?? client?.state ?? new Map();
}

const ofPbx = (topic) => shown().get(topic)?.get("pbx");

/** Not computed: it would be older than the rows drawn beside it. */
export const system = { get value() { return ofPbx("system"); } };

/** The PBX's time zone, for times of day; empty while unknown. Limited keys get no figures of the whole PBX. */
export const zone = { get value() { return system.value?.timeZone || ofPbx("pbxstats")?.zone || ""; } };

/** Why nothing newer is known: {kind, since} or null. `since`: the server's milliseconds. */
export const staleness = computed(() => {
  frame.value; // and the clock: nothing is drawn while paused
  const { status, since } = connection.value;
  if (status === "refused") return null;
  if (status !== "live") {
    const lost = client ? (away ?? since) + client.clock.offset : since;
    return clock.value - lost < BLIP ? null : { kind: "gateway", since: lost };
  }
  if (staleSince.value) return { kind: "bus", since: Date.parse(staleSince.value) };
  const pbx = clock.value && client?.state.get("system")?.get("pbx");
  if (!pbx || pbx.connection === "connected") return null;
  return { kind: pbx.connection === "lost" ? "pbx" : "connecting", since: Date.parse(pbx.since), reason: pbx.reason };
});

let away = null; // since when the gateway has not been heard, by this machine's clock

/** Watch with this key. */
export function watch(key) {
  client?.close();
  client = new StreamClient({ ...settings, url: "webapi/stream", key, topics: TOPICS });
  const on = (name, act) => client.addEventListener(name, ({ detail }) => act(detail));
  on("connection", (detail) => {
    away = detail.status === "live" ? null : (away ?? detail.since);
    connection.value = detail;
  });
  on("hello", (detail) => {
    hello.value = detail;
    if (OTHERS) return;
    if (detail.pbx === null) location.replace(`fleet${location.search}`);
    const figures = FIGURES.filter((topic) => detail.topics.includes(topic));
    const wanted = [...TOPICS.filter((topic) => detail.topics.includes(topic)), ...figures];
    if (wanted.join() !== subscribed) {
      subscribed = wanted.join();
      client.subscribe({ topics: wanted, filter: settings.filter });
    }
  });
  on("stale", (detail) => (staleSince.value = detail.since));
  on("state", draw);
  on("change", (detail) => {
    if (paused.value) {
      const topics = [detail.upsert, detail.remove].flatMap(Object.values);
      const { length } = topics.flatMap(Object.keys);
      paused.value = { ...paused.value, changes: paused.value.changes + length };
    }
    draw();
  });
  client.connect();
}

let subscribed = TOPICS.join();

/** Draw at the next frame; later on a slow screen. */
function draw() {
  if (asked || paused.value) return;
  asked = true;
  const wait = drawing > 12 ? Math.min(1_000, 3 * drawing) : 0;
  setTimeout(() => requestAnimationFrame(redraw), wait);
}

function redraw() {
  asked = false;
  const began = performance.now();
  frame.value++;
  requestAnimationFrame(() => {
    drawing = 0.7 * drawing + 0.3 * Math.min(500, performance.now() - began - 12);
  });
}

const present = () => client?.clock.now() ?? Date.now();

/** The shared ticker: on each full second of the server's clock. */
function tick() {
  const time = present();
  batch(() => {
    clock.value = time;
    if (!paused.value) now.value = time;
    lag.value = client?.lag ?? null;
  });
  setTimeout(tick, 1_000 - (time % 1_000) + 5);
}
tick();

export function togglePause() {
  if (paused.value) {
    paused.value = null;
    now.value = present();
    frame.value++;
    return;
  }
  const state = new Map([...(client?.state ?? [])].map(([topic, entities]) => [topic, new Map(entities)]));
  paused.value = { state, changes: 0 };
}

/** Show a view; of it only what is of that kind. */
export function show(name, kind = kiosk ? settings.only : "") {
  batch(() => {
    view.value = name;
    page.value = 0;
    detail.value = null;
    wanted.value = kind;
  });
}

let opened = false; // as long as it is not, the address may name several views

/** Write what is shown into the address, for reloads and links. */
function address() {
  const told = { view: view.value, find: find.value, only: only.value, sort: sorting.value };
  if (opened && !kiosk && !location.hash) {
    const url = new URL(location.href);
    for (const [name, value] of Object.entries(told)) {
      if (value) url.searchParams.set(name, value);
      else url.searchParams.delete(name);
    }
    try {
      if (url.href !== location.href) history.replaceState(history.state, "", url);
    } catch {
      return; // Safari takes a hundred in half a minute
    }
  }
  opened = true;
}
effect(address);

/** Going back closes what is open, and the view stays. */
addEventListener("popstate", () => {
  detail.value = null;
  address();
});

export function toggleTheme() {
  theme.value = theme.value === "dark" ? "light" : "dark";
  remember("theme", theme.value);
}

export function toggleKeys() {
  singleKeys.value = !singleKeys.value;
  remember("keys", singleKeys.value ? "1" : "0");
}

effect(() => {
  document.documentElement.dataset.theme = theme.value;
});

export function remembered(name) {
  try {
    return localStorage[`callmon.${name}`];
  } catch {
    return; // storage is off: the page works without
  }
}

export function remember(name, value) {
  try {
    localStorage[`callmon.${name}`] = value;
  } catch {
    return;
  }
}
