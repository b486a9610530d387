// The wallboard's and the stream client's logic without a browser: values in, values out.
import assert from "node:assert/strict";
import { test } from "node:test";
import { advice, Replica, retryRange, ServerClock } from "../../gateway/static/callmon.js";
import { densest, fit, pageOf, sheets } from "../../gateway/static/wall/fit.js";
import { level, Steady } from "../../gateway/static/wall/levels.js";
import { agentRows, doing } from "../../gateway/static/wall/people.js";
import { callRows, matches, missedRows, queueRows } from "../../gateway/static/wall/rows.js";
import { limits, parseSettings } from "../../gateway/static/wall/settings.js";
import { duration } from "../../gateway/static/wall/times.js";
import { LANGUAGES } from "../../gateway/static/wall/words.js";

const snapshot = (seq, calls, more = false) => ({ type: "snapshot", epoch: "e", seq, state: { calls }, more });
const change = (from, seq, upsert = {}, remove = [], epoch = "e") => ({
  type: "change",
  epoch,
  from,
  seq,
  upsert: { calls: upsert },
  remove: { calls: remove },
});
const heartbeat = (seq, epoch = "e") => ({ type: "heartbeat", epoch, seq, stale_since: null });

function replica(seq = 5) {
  const held = new Replica();
  held.subscribed({ resume: false });
  held.take(snapshot(seq, { 1: "one" }));
  return held;
}

test("a snapshot in parts is swapped in on the last part", () => {
  const held = replica();
  held.subscribed({ resume: false });
  assert.equal(held.take(snapshot(9, { 2: "two" }, true)), null);
  assert.deepEqual([...held.state.get("calls").keys()], ["1"]);
  assert.equal(held.take(snapshot(9, { 3: "three" })), "state");
  assert.deepEqual([...held.state.get("calls").keys()], ["2", "3"]);
  assert.deepEqual(held.position, { epoch: "e", seq: 9 });
});

test("a change is applied where it continues the position, overlap does no harm", () => {
  const held = replica();
  assert.equal(held.take(change(3, 6, { 2: "two" })), "change");
  assert.equal(held.take(change(4, 6, { 9: "again" })), null);
  assert.equal(held.take(change(6, 7, {}, ["1"])), "change");
  assert.deepEqual([...held.state.get("calls")], [["2", "two"]]);
});

test("a gap and another epoch ask for a new subscription, and nothing in flight is believed until its answer", () => {
  for (const gap of [change(7, 8), change(5, 6, {}, [], "other"), heartbeat(6, "other"), heartbeat(4)]) {
    const held = replica();
    assert.equal(held.take(gap), "gap");
    assert.deepEqual(held.subscribed({ resume: true, sameConnection: true }), { epoch: "e", seq: 5 });
    assert.equal(held.take(change(8, 9)), null);
    assert.equal(held.take(heartbeat(9)), null, "it would leap over the gap");
    assert.equal(held.take(change(5, 9, { 2: "two" })), "change");
    assert.equal(held.awaiting, null);
  }
});

test("a heartbeat moves the position, also as the answer to since", () => {
  const held = replica();
  assert.equal(held.take(heartbeat(8)), "heartbeat");
  assert.deepEqual(held.subscribed({ resume: true, sameConnection: false }), { epoch: "e", seq: 8 });
  assert.equal(held.take(change(8, 8)), null);
  assert.equal(held.awaiting, null, "nothing happened meanwhile");
  assert.equal(held.take(heartbeat(9)), "heartbeat");
});

test("any order of any frames leaves what the server had at the position", () => {
  let seed = 7;
  const random = (below) => (seed = (seed * 1103515245 + 12345) % 2147483648) % below;
  for (let round = 0; round < 300; round++) {
    const log = [{}];
    for (let seq = 1; seq < 12; seq++) log.push({ ...log[seq - 1], [random(4)]: seq });
    const held = new Replica();
    held.subscribed({ resume: false });
    held.take(snapshot(0, log[0]));
    for (let step = 0; step < 20; step++) {
      const [from, to] = [random(12), random(12)].sort((one, other) => one - other);
      const changed = Object.entries(log[to]).filter(([id, value]) => log[from][id] !== value);
      if (held.take(change(from, to, Object.fromEntries(changed))) === "gap") {
        const { seq } = held.subscribed({ resume: true, sameConnection: true });
        const missing = Object.entries(log[11]).filter(([id, value]) => log[seq][id] !== value);
        held.take(change(seq, 11, Object.fromEntries(missing)));
      }
      assert.deepEqual(Object.fromEntries(held.state.get("calls")), log[held.position.seq]);
    }
  }
});

test("the close code's range says whether to come back", () => {
  assert.deepEqual([4000, 4001, 4013, 4099].map(advice), Array(4).fill("refuse"));
  assert.deepEqual([4100, 4103].map(advice), ["later", "later"]);
  assert.deepEqual([1001, 1006, 1011, 1012, 1013, 4200, 4203].map(advice), Array(7).fill("resume"));
  assert.deepEqual(retryRange('{"retry_in":[1,10]}'), [1, 10]);
  for (const reason of ["", "bye", '{"retry_in":[3,1]}', '{"retry_in":"x"}', "null"])
    assert.equal(retryRange(reason), null);
});

test("the clock believes the fastest ping", () => {
  const clock = new ServerClock();
  clock.add(1000, 1400, 6200);
  clock.add(2000, 2020, 7110);
  clock.add(3000, 3600, 8000);
  assert.equal(clock.offset, 5100);
});

test("durations read as people say them and are never negative", () => {
  const read = (seconds) => duration(seconds * 1000);
  assert.deepEqual([-5, 0, 59, 61, 3599, 3600, 36_061].map(read), [
    "0:00",
    "0:00",
    "0:59",
    "1:01",
    "59:59",
    "1:00:00",
    "10:01:01",
  ]);
  assert.equal(read(2 * 86_400 + 3 * 3600), "2\u00a0d 3\u00a0h");
});

test("levels rise at once and fall after a while; free agents count the other way", () => {
  assert.deepEqual(
    [2, 3, 6].map((value) => level(value, [3, 6])),
    [0, 1, 2],
  );
  assert.deepEqual(
    [2, 1, 0].map((value) => level(value, [1, 0], "downTo")),
    [0, 1, 2],
  );
  assert.equal(level(99, [null, null]), 0);
  const steady = new Steady(3000);
  assert.deepEqual(
    [
      [2, 0],
      [0, 1000],
      [1, 2000],
      [0, 3500],
      [1, 3600],
    ].map(([now, at]) => steady.level("x", now, at)),
    [2, 2, 2, 0, 1],
  );
});

test("tiles fill the screen, and pages are alike", () => {
  const space = { w: 51, h: 19 };
  assert.deepEqual(fit(4, space, { w: 21, h: 9 }), { cols: 2, rows: 2, perPage: 4, pages: 1 });
  const grid = fit(300, space, { w: 8.6, h: 1.75 });
  assert.ok(grid.cols * 9.1 <= 52 && grid.rows * 2.25 <= 19.5);
  assert.ok(grid.pages * grid.perPage >= 300);
  const items = Array.from({ length: 300 }, (_, index) => index);
  const pages = Array.from({ length: grid.pages }, (_, page) => pageOf(items, grid, page)).flat();
  assert.deepEqual(pages, items);
  assert.deepEqual(pageOf(items, grid, 99), pageOf(items, grid, grid.pages - 1));
  assert.equal(
    densest(5, space, [
      { w: 13, h: 4.6 },
      { w: 8, h: 2 },
    ]).tile.h,
    4.6,
  );
  assert.equal(fit(0, space, { w: 10, h: 10 }).pages, 1);
});

test("the address is the configuration, and nonsense in it does no harm", () => {
  const settings = parseSettings("?queues=800,801&view=agents,bogus&theme=dark&lang=ru&kiosk=1&wait.800=30,90&free=x", {
    languages: ["en", "ru"],
  });
  assert.deepEqual(settings.filter, { queue: ["800", "801"] });
  assert.deepEqual([settings.views, settings.lang, settings.kiosk, settings.theme], [["agents"], "ru", true, "dark"]);
  assert.deepEqual(limits(settings.thresholds, "wait", "800", 20), [30, 90]);
  assert.deepEqual(limits(settings.thresholds, "wait", "801", 20), [20, 60]);
  assert.deepEqual(limits(settings.thresholds, "free", "801"), [null, null]);
  const plain = parseSettings("?page=zzz&kiosk=0", { languages: ["en", "ru"], preferred: ["de-DE", "ru-RU"] });
  assert.deepEqual(
    [plain.views, plain.kiosk, plain.page, plain.lang, plain.filter],
    [["queues"], false, 10, "ru", undefined],
  );
});

test("both languages have the same words", () => {
  assert.deepEqual(Object.keys(LANGUAGES.ru).sort(), Object.keys(LANGUAGES.en).sort());
  assert.equal(LANGUAGES.ru.paused(21), "Пауза · ждут 21 изменение");
  assert.equal(LANGUAGES.ru.paused(12), "Пауза · ждут 12 изменений");
});

const extension = (num, more = {}) => ({
  num,
  name: "Anna",
  lastname: "Petrov",
  registered: true,
  enabled: 1,
  qGlobalStatus: "LoggedIn",
  fwdName: "Available",
  activity: "Idle",
  since: "2026-03-04T03:00:00.000Z",
  talks: [],
  available: true,
  queues: ["800"],
  ...more,
});
const state = (topics) =>
  new Map(Object.entries(topics).map(([topic, rows]) => [topic, new Map(Object.entries(rows))]));

test("an agent is what he does, else what his login and profile say", () => {
  assert.equal(doing(extension("1")).state, "free");
  assert.equal(doing(extension("1", { activity: "Talking", registered: false })).state, "talking");
  assert.equal(doing(extension("1", { activity: "Dialing" })).word, "dialing");
  const presenceSince = "2026-03-04T02:00:00.000Z";
  const [idle, later] = ["2026-03-04T01:00:00.000Z", "2026-03-04T03:00:00.000Z"];
  assert.equal(doing(extension("1", { since: idle, presenceSince })).since, presenceSince);
  assert.equal(doing(extension("1", { since: later, presenceSince })).since, later);
  assert.equal(doing(extension("1", { since: null, presenceSince })).since, presenceSince);
  assert.equal(doing(extension("1", { since: null, presenceSince: null })).since, null);
  assert.equal(doing(extension("1", { registered: false, since: later, presenceSince })).since, presenceSince);
  assert.equal(doing(extension("1", { activity: "Talking", since: later, presenceSince })).since, later);
  assert.equal(doing(extension("1", { registered: false })).word, "offline");
  assert.equal(doing(extension("1"), false).state, "out");
  assert.deepEqual(doing(extension("1", { fwdName: "Out of office", available: false })).profile, "Out of office");
});

test("queues count their own agents and know their oldest caller", () => {
  const rows = queueRows(
    state({
      extensions: { 101: extension("101"), 102: extension("102", { activity: "Ringing" }), 103: extension("103") },
      queues: {
        800: {
          num: "800",
          name: "Sales",
          agents: [{ num: "101" }, { num: "102" }, { num: "103" }, { num: "199" }],
          loggedIn: ["101", "102"],
          waiting: [
            { callID: 2, since: "2026-03-04T03:00:09.000Z" },
            { callID: 1, since: "2026-03-04T03:00:01.000Z" },
          ],
          slaTime: null,
        },
      },
      queuestats: { 800: { num: "800", target: 25, serviceLevel: 91.5 } },
    }),
  );
  assert.deepEqual(rows[0].agents, { free: 1, ringing: 1, talking: 0, away: 0, out: 1 });
  assert.deepEqual(
    [rows[0].oldest, rows[0].target, rows[0].stats.serviceLevel],
    ["2026-03-04T03:00:01.000Z", 25, 91.5],
  );
  assert.equal(
    agentRows(state({ extensions: { 101: extension("101") } })).length,
    1,
    "without queues everybody is shown",
  );
});

const leg = (dnNum, dnType, status, more = {}) => ({
  dnNum,
  dnType,
  externalParty: "",
  status,
  name: "",
  partyName: "",
  ...more,
});
const call = (more) => ({
  callID: 1,
  direction: "Inbound",
  state: "Routing",
  startedAt: "2026-03-04T03:00:00.000Z",
  answeredAt: null,
  did: "",
  owner: leg("10000", "externalline", "Dialing", { externalParty: "" }),
  talkTo: [],
  routingTo: [],
  AConnList: [],
  queue: "",
  queuedAt: null,
  queues: [],
  groups: [],
  ...more,
});

test("a call says whom it rings at, what it waits in, and that a number is withheld", () => {
  const rows = (one) => callRows(state({ calls: { 1: call(one) }, queues: { 800: { num: "800", name: "Sales" } } }))[0];
  const queue = leg("800", "queue", "Connected");
  const waiting = rows({ state: "Talking", talkTo: [queue], queue: "800", queuedAt: "2026-03-04T03:00:05.000Z" });
  assert.deepEqual(
    [waiting.kind, waiting.word, waiting.via, waiting.since],
    ["waiting", "inQueue", "Sales", "2026-03-04T03:00:05.000Z"],
  );
  const ringing = rows({
    talkTo: [queue],
    routingTo: [leg("101", "extension", "Ringing"), leg("102", "extension", "Ringing")],
  });
  assert.deepEqual([ringing.kind, ringing.to.num, ringing.to.more], ["ringing", "101", 1]);
  assert.deepEqual(ringing.from, { num: "", name: "", outside: true });
  assert.equal(rows({ state: "Talking", talkTo: [leg("101", "extension", "Connected")] }).kind, "talking");
});

test("missed calls are today's from outside, and know who was spoken with since", () => {
  const ended = (callID, outcome, endedAt, more = {}) => ({
    callID,
    direction: "Inbound",
    outcome,
    startedAt: endedAt,
    endedAt,
    answeredAt: null,
    caller: "+1",
    callerName: "",
    callee: "",
    calleeName: "",
    queue: "",
    queues: [],
    ...more,
  });
  const rows = missedRows(
    state({
      ended: {
        a: ended(1, "missed", "2026-03-04T10:00:00.000Z"),
        b: ended(2, "abandoned", "2026-03-04T11:00:00.000Z", { caller: "+2", queuedAt: "2026-03-04T10:59:00.000Z" }),
        c: ended(3, "missed", "2026-03-03T11:00:00.000Z"),
        d: ended(4, "unanswered", "2026-03-04T11:00:00.000Z", { direction: "Outbound" }),
        e: ended(5, "answered", "2026-03-04T12:00:00.000Z", {
          direction: "Outbound",
          caller: "101",
          callee: "+1",
          answeredAt: "2026-03-04T11:59:00.000Z",
        }),
      },
    }),
    Date.parse("2026-03-04T00:00:00.000Z"),
  );
  assert.deepEqual(
    rows.map((row) => [row.num, row.spoken, row.waited]),
    [
      ["+2", false, 60_000],
      ["+1", true, 0],
    ],
  );
});

test("the rows of a table that find no place on its pages are counted", () => {
  const height = 1.9 + 10 * 1.78 + 0.5;
  assert.deepEqual(sheets(0, height, 3), { perPage: 10, pages: 1, left: 0 });
  assert.deepEqual(sheets(30, height, 3), { perPage: 10, pages: 3, left: 0 });
  assert.deepEqual(sheets(31, height, 3), { perPage: 9, pages: 3, left: 4 });
  assert.deepEqual(sheets(500, height, Infinity), { perPage: 10, pages: 50, left: 0 });
});

test("a filter finds all its words anywhere, in any case", () => {
  assert.ok(matches(["101", "Мария Иванова", null], "иван 101"));
  assert.ok(!matches(["101"], "101 102"));
  assert.ok(matches(["anything"], ""));
});
