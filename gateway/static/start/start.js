/** The start page: what the gateway is connected to, and a console of the stream. */

import { StreamClient } from "callmon";
import { language, translate, words } from "./words.js";

const TOPICS = [
  ...["calls", "queues", "extensions", "groups", "lines", "ivrs", "extgroups", "ended", "system"],
  ...["queuestats", "extstats", "pbxstats"],
];
const FIELDS = ["ext", "queue", "group", "line", "extgroup", "direction", "state", "call"];
const KEPT = 200; // frames
const LONGEST = 4_000; // characters of a frame that are shown
const KEY = "callmon.key"; // shared with the wallboard

translate();
const at = (id) => document.getElementById(id);
const form = at("watch");
let client = null;
let watched = ""; // the key with which the gateway is asked how it is
let about = null; // a client that follows what the key's PBX is
let frames = [];
let drawn = false;

function element(tag, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(...children);
  return made;
}

at("topics").append(
  ...TOPICS.map((topic) =>
    element(
      "label",
      {},
      element("input", { type: "checkbox", name: "topic", value: topic, checked: topic === "calls" }),
      topic,
    ),
  ),
);
at("filter").append(
  ...FIELDS.map((field) => element("label", {}, field, element("input", { name: field, autocomplete: "off" }))),
);
const given = new URLSearchParams(location.hash.slice(1)).get("key"); // as the wallboard takes it
if (given) history.replaceState(null, "", location.pathname + location.search);
if (given && !remembered()) remember(given);
form.key.value = given ?? remembered(); // a key that is kept gives way only when this one is used
ask(form.key.value);

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = subscription();
  stop();
  remember(form.key.value.trim());
  ask(form.key.value.trim());
  at("sent").textContent = JSON.stringify({ type: "subscribe", ...wanted });
  client = new StreamClient({ url: "webapi/stream", key: form.key.value.trim(), ...wanted });
  client.addEventListener("connection", ({ detail }) => say(detail));
  client.addEventListener("frame", ({ detail }) => add(detail));
  client.connect();
  at("stop").disabled = false;
});
at("stop").addEventListener("click", stop);
at("link").textContent = new URL(`wall?view=queues,agents&kiosk=1&lang=${language}#key=`, location.href).href;
if (new URLSearchParams(location.search).has("lang")) document.querySelector(".door").search = `lang=${language}`;
at("copy").addEventListener("click", async () => {
  const done = await navigator.clipboard?.writeText(at("link").textContent).then(() => true, () => false);
  if (!done) getSelection().selectAllChildren(at("link")); // without HTTPS a page may not write to the clipboard
  at("copy").textContent = done ? words.copied : words.noCopy;
});
at("clear").addEventListener("click", () => {
  frames = [];
  draw();
});

function subscription() {
  const data = new FormData(form);
  const filter = {};
  for (const field of FIELDS) {
    const values = data
      .get(field)
      .split(",")
      .map((one) => one.trim())
      .filter(Boolean);
    if (values.length) filter[field] = values;
  }
  return { topics: data.getAll("topic"), ...(Object.keys(filter).length && { filter }) };
}

function stop() {
  client?.close();
  client = null;
  at("stop").disabled = true;
}

function say({ status, reason, code, retryIn }) {
  const why = reason || code ? ` (${[reason, code].filter(Boolean).join(", ")})` : "";
  at("said").textContent = stateWord(status) + (retryIn ? words.again(retryIn) : "") + why;
}

/** The word for the state of a connection: the PBX's, or this page's. */
function stateWord(state) {
  return words.states[state] ?? state;
}

function add(frame) {
  frames.unshift(frame);
  frames.length = Math.min(frames.length, KEPT);
  draw();
}

function draw() {
  if (drawn) return;
  drawn = true;
  requestAnimationFrame(() => {
    drawn = false;
    at("frames").textContent = frames.map(shown).join("\n\n");
  });
}

function shown(frame) {
  const text = JSON.stringify(frame);
  return text.length > LONGEST ? text.slice(0, LONGEST) + words.longer(text.length) : text;
}

/** Follow what the PBX of that key says of itself. */
function ask(key) {
  watched = key;
  about?.close();
  about = key ? new StreamClient({ url: "webapi/stream", key, topics: ["system"] }) : null;
  for (const event of ["state", "change"]) about?.addEventListener(event, told);
  about?.connect();
}

function told() {
  for (const item of at("pbxs").querySelectorAll("[data-pbx]")) item.textContent = itself(item.dataset.pbx);
}

/** What PBX that is, as far as the key may know: ` · pbx.example.com · 3CX 20.0.5 · 32 calls at once`. */
function itself(name) {
  const pbx = about?.hello?.pbx === name ? about.state.get("system")?.get("pbx") : null;
  const parts = [pbx?.fqdn, pbx?.version && `3CX ${pbx.version}`, pbx?.licenceLimit && words.atOnce(pbx.licenceLimit)];
  return parts
    .filter(Boolean)
    .map((part) => ` · ${part}`)
    .join("");
}

async function look() {
  try {
    const headers = watched ? { Authorization: `Bearer ${watched}` } : {};
    let answer = await fetch("readyz", { cache: "no-store", headers });
    if ([400, 401, 403].includes(answer.status)) answer = await fetch("readyz", { cache: "no-store" });
    const { ready, pbxs } = await answer.json();
    const rows = Object.entries(pbxs ?? {}).map(([name, health]) => row(name, health));
    at("pbxs").replaceChildren(...(rows.length ? rows : [short(ready)]));
  } catch {
    at("pbxs").replaceChildren(element("li", { className: "bad" }, words.silent));
  }
  setTimeout(look, 5_000);
}

/** What is told without a key that holds. */
function short(ready) {
  const state = ready ? words.ready : words.notReady;
  return element("li", { className: ready ? "good" : "bad" }, `${state}; ${words.withKey}`);
}

function row(name, { bus, monitor, pbx, staleSince, monitorName, connection, reason }) {
  const good = bus && monitor && pbx;
  const state = !bus
    ? words.busLost
    : !monitor
      ? words.monitorLost(staleSince)
      : words.followed(`${stateWord(connection)}${reason ? `: ${reason}` : ""}`, monitorName);
  const own = element("small", {}, itself(name));
  own.dataset.pbx = name;
  return element("li", { className: good ? "good" : "bad" }, element("b", {}, name), `${good ? "✓" : "▲"} ${state}`, own);
}

function remembered() {
  try {
    return localStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

function remember(key) {
  try {
    localStorage.setItem(KEY, key);
  } catch {
    return;
  }
}

look();
