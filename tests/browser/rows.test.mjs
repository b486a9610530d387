// What the wallboard's views show of the entities: values in, values out.
import assert from "node:assert/strict";
import { test } from "node:test";
import { agentRows, doing, nameOf } from "../../gateway/static/wall/people.js";
import { byCaller, callRows, matches, missedRows, queueRows, sorted } from "../../gateway/static/wall/rows.js";

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
  const waits = { activity: "Talking", queue: "801", since: later };
  const talks = { activity: "Talking", queue: "", since: idle };
  const word = (...both) => doing(extension("1", { activity: "Talking", talks: both })).word;
  assert.deepEqual([word(waits), word(waits, talks), word()], ["inQueue", "talking", "talking"]);
  const apart = (activity, queue) => doing(extension("1", { activity, talks: [{ activity, queue, since: later }] })).word;
  assert.deepEqual([apart("Waiting", "801"), apart("Waiting", ""), apart("Listening", "")], ["inQueue", "waits", "listens"]);
  assert.equal(doing(extension("1", { activity: "Waiting" })).state, "talking");
  assert.equal(doing(extension("1"), false).state, "out");
  assert.deepEqual(doing(extension("1", { fwdName: "Out of office", available: false })).profile, "Out of office");
  const resting = extension("1", { fwdName: "Away", available: false, qGlobalStatus: "LoggedOut" });
  assert.equal(doing(resting).state, "away", "its profile has logged it out");
  assert.equal(doing(extension("1", { qGlobalStatus: "LoggedOut", available: false })).state, "out");
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

test("who is named in the address is shown, and of the queues those that they are agents of", () => {
  const topics = {
    extensions: { 101: extension("101"), 150: extension("150", { qGlobalStatus: "LoggedOut" }) },
    queues: {
      800: { num: "800", name: "A", agents: [{ num: "101" }], loggedIn: ["101"], waiting: [] },
      801: { num: "801", name: "B", agents: [{ num: "199" }], loggedIn: [], waiting: [] },
    },
  };
  const nums = (rows) => rows.map((row) => row.num);
  assert.deepEqual(nums(agentRows(state(topics))), ["101"]);
  assert.deepEqual(nums(agentRows(state(topics), true)), ["101", "150"]);
  assert.equal(agentRows(state(topics), true)[1].state, "free", "no queue's login counts for him");
  assert.deepEqual(nums(queueRows(state(topics))), ["800", "801"]);
  for (const filter of [{ ext: ["101"] }, { extgroup: ["Sales"] }, { group: ["600"] }]) {
    assert.deepEqual(nums(queueRows(state(topics), filter)), ["800"]);
  }
  assert.deepEqual(nums(queueRows(state(topics), { queue: ["801"], ext: ["101"] })), ["800", "801"]);
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
  const waits = (callID) =>
    callRows(state({ calls: { 1: call() }, queues: { 800: { num: "800", name: "", waiting: [{ callID }] } } }))[0];
  const waiting = rows({ state: "Talking", talkTo: [queue], queue: "800" });
  assert.deepEqual([waiting.kind, waiting.word, waiting.via], ["waiting", "inQueue", "Sales"]);
  const ringing = rows({
    talkTo: [queue],
    routingTo: [leg("101", "extension", "Ringing"), leg("102", "extension", "Ringing")],
  });
  assert.deepEqual([ringing.kind, ringing.to.num, ringing.to.more], ["ringing", "101", 1]);
  assert.deepEqual(ringing.from, { num: "", name: "", outside: true });
  assert.equal(rows({ state: "Talking", talkTo: [leg("101", "extension", "Connected")] }).kind, "talking");
  const owner = leg("101", "extension", "Connected");
  assert.ok(!waiting.waits && waits(1).waits && !waits(2).waits);
  const leaving = rows({ direction: "Internal", state: "Talking", owner, talkTo: [leg("101", "extension", "Connected")] });
  assert.deepEqual([leaving.from.num, leaving.to.num], ["101", "–"], "a leg leaves");
  const passedOn = rows({ direction: "Outbound", state: "Talking", talkTo: [leg("101", "extension", "Connected")] });
  assert.deepEqual([passedOn.from.num, passedOn.to.outside], ["101", true], "its maker has left it");
});

test("a monitor that does not tell who was spoken with since is made up for", () => {
  const ended = (at, caller, callee, talkedAt) => ({
    ...{ callID: at, direction: "Inbound", did: "", queue: "", queues: [], groups: [], lines: ["10000"] },
    ...{ startedAt: at, answeredAt: talkedAt, endedAt: at, queuedAt: null, outcome: talkedAt ? "answered" : "missed" },
    ...{ caller, callerName: "", callee, calleeName: "", extensions: ["101"], extgroups: [] },
  });
  const [noon, later] = ["2026-03-04T12:00:00.000Z", "2026-03-04T12:05:00.000Z"];
  const spoken = (missed, other) => {
    const calls = [ended(noon, missed, "101", null), ended(later, "101", other, later)];
    return missedRows(new Map([["ended", new Map(calls.map((one, at) => [String(at), one]))]]), 0)[0].spoken;
  };
  assert.ok(spoken("+49301234567", "0301234567"));
  assert.ok(spoken("0049301234567", "+49301234567"));
  assert.ok(!spoken("+49301234567", "0891234567"));
  assert.ok(!spoken("anonymous", "anonymous"));
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
    groups: [],
    did: "",
    ...more,
  });
  const rows = missedRows(
    state({
      queues: { 800: { num: "800", name: "Sales" } },
      ended: {
        a: ended(1, "missed", "2026-03-04T10:00:00.000Z", {
          callee: "101",
          calleeName: "Anna",
          returnedAt: "2026-03-04T11:59:00.000Z",
        }),
        b: ended(2, "abandoned", "2026-03-04T11:00:00.000Z", {
          caller: "+2",
          startedAt: "2026-03-04T10:58:00.000Z",
          returnedAt: null,
          queuedAt: "2026-03-04T10:59:00.000Z",
          callee: "101",
          queue: "800",
          queues: ["800"],
        }),
        sent: ended(7, "abandoned", "2026-03-04T08:00:00.000Z", { caller: "+4", callee: "800", queues: ["800"] }),
        m: ended(6, "abandoned", "2026-03-04T09:00:00.000Z", { caller: "+3", did: "74951234567" }),
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
    rows.map((row) => [row.num, row.spoken, row.waited, row.outcome, row.to]),
    [
      ["+2", false, 60_000, "abandonedCall", "Sales"],
      ["+1", true, 0, "missedCall", "101 Anna"],
      ["+3", false, 0, "menuCall", "74951234567"],
      ["+4", false, 0, "missedCall", "Sales"], // the queue sent it elsewhere: none that the queue counts as abandoned
    ],
  );
});

test("a caller who was missed several times has one row, those who withhold their number have their own", () => {
  const row = (id, num) => ({ id, num });
  const rows = byCaller([row("e", "+1 5"), row("d", ""), row("c", "+15"), row("b", "+2"), row("a", ""), row("0", "00"), row("1", "00")]);
  assert.deepEqual(
    rows.map(({ id, calls }) => [id, calls.map((one) => one.id)]),
    [["e", ["e", "c"]], ["d", ["d"]], ["b", ["b"]], ["a", ["a"]], ["0", ["0"]], ["1", ["1"]]],
  );
});

test("rows are sorted by a column's value, texts as people write them, and equals stay as they came", () => {
  const columns = [
    { name: "who", value: (row) => row.who },
    { name: "time", value: (row) => row.time },
  ];
  const rows = [
    { id: 1, who: "é10", time: 5 },
    { id: 2, who: "e9", time: 30 },
    { id: 3, who: "F1", time: 5 },
  ];
  const ids = (order) => sorted(rows, columns, order, "fr").map(({ id }) => id);
  assert.deepEqual(["who", "-who", "time", "-time"].map(ids), [[2, 1, 3], [3, 1, 2], [1, 3, 2], [2, 1, 3]]);
});

test("a filter finds all its words anywhere, in any case", () => {
  assert.ok(matches(["101", "Мария Иванова", null], "иван 101"));
  assert.ok(!matches(["101"], "101 102"));
  assert.ok(matches(["anything"], ""));
});

test("a party's name is left out where it only says the number again, or that it is withheld", () => {
  for (const name of ["+16468819347", "+1 646 881 9347", "(646) 881-9347", ""])
    assert.equal(nameOf("+16468819347", name), "", name);
  assert.equal(nameOf("+16468819347", "Oksana 2"), "Oksana 2");
  assert.equal(nameOf("+16468819347", "Скрытый, Иван"), "Скрытый, Иван", "whoever shows a number hides nothing");
  assert.equal(nameOf("crmintegration", "crmintegration"), "");
  assert.equal(nameOf("", "Anonymous"), "");
  assert.equal(nameOf("", "Front desk"), "Front desk");
});
