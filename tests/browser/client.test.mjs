// The stream client's logic without a browser: values in, values out.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { advice, Replica, retryRange, ServerClock, StreamClient } from "../../gateway/static/callmon.js";

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

test("an entity may be called __proto__, in a patch too", () => {
  const named = (v) => JSON.parse(`{"__proto__":{"v":${v}}}`);
  const held = new Replica();
  held.subscribed({ resume: false });
  held.take(snapshot(4, named(1)));
  held.take({ ...change(4, 5), patch: { calls: named(2) } });
  assert.deepEqual([...held.state.get("calls")], [["__proto__", { v: 2 }]]);
});

test("patches are put over what is held, and who holds the old entity still has it", () => {
  const held = new Replica();
  held.subscribed({ resume: false });
  held.take(snapshot(5, { 1: { v: 5, w: 5 }, 2: { v: 5 } }));
  const old = held.state.get("calls").get("1");
  const frame = { ...change(4, 6, { 3: { v: 6 } }, ["2"]), patch: { calls: { 1: { v: 6 } } } };
  assert.equal(held.take(frame), "change");
  assert.deepEqual(Object.fromEntries(held.state.get("calls")), { 1: { v: 6, w: 5 }, 3: { v: 6 } });
  assert.deepEqual(old, { v: 5, w: 5 });
  assert.deepEqual(frame.upsert.calls, { 3: { v: 6 } }, "the frame is told as it came");
});

/** A client on a socket that only the test answers: `socket.hear(frame)`, `socket.said`. */
async function scripted(t, options = {}) {
  const opened = Promise.withResolvers ? Promise.withResolvers() : deferred();
  class Scripted {
    readyState = 1;
    said = [];
    constructor() {
      setTimeout(() => (this.onopen(), opened.resolve(this)), 0);
    }
    send(text) {
      const message = JSON.parse(text);
      if (message.type !== "ping") this.said.push(message);
    }
    hear(frame) {
      this.onmessage({ data: JSON.stringify({ server_time: "2026-03-04T12:00:00.000Z", ...frame }) });
    }
    close() {
      this.onclose?.({ code: 1000, reason: "" });
    }
  }
  const [socket, ask] = [globalThis.WebSocket, globalThis.fetch];
  globalThis.WebSocket = Scripted;
  globalThis.fetch = async () => ({ ok: true, status: 200, json: async () => ({ ticket: "t" }) });
  const client = new StreamClient({ url: "http://host/webapi/stream", key: "k", topics: ["calls"], ...options });
  t.after(() => {
    client.close();
    [globalThis.WebSocket, globalThis.fetch] = [socket, ask];
  });
  client.connect();
  return { client, socket: await opened.promise };
}

function deferred() {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}

const hello = { type: "hello", heartbeat: 60, topics: ["calls"] };

test("it asks for patches after a hello of version 1.1, and only then", async (t) => {
  const { socket } = await scripted(t, { fields: ["state"] });
  assert.deepEqual(socket.said, []);
  socket.hear(hello);
  socket.hear({ ...hello, version: "1.1" });
  const wanted = { type: "subscribe", topics: ["calls"], fields: ["state"] };
  assert.deepEqual(socket.said, [wanted, { ...wanted, patch: true }]);
});

test("who hears hello and wants something else subscribes once", async (t) => {
  const { client, socket } = await scripted(t);
  client.addEventListener("hello", () => client.subscribe({ topics: ["queues"] }));
  socket.hear(hello);
  assert.deepEqual(socket.said, [{ type: "subscribe", topics: ["queues"] }]);
});

test("several subscriptions on one connection are told apart, and a gap of one is repaired by itself", async (t) => {
  const { client, socket } = await scripted(t);
  const desk = client.add("desk", { topics: ["calls"], filter: { ext: ["101"] } });
  const told = [];
  for (const kind of ["state", "change"]) {
    client.addEventListener(kind, () => told.push(`own ${kind}`));
    desk.addEventListener(kind, ({ detail }) => told.push(`desk ${kind} ${detail.seq}`));
  }
  socket.hear({ ...hello, version: "1.1" });
  assert.deepEqual(
    socket.said.map(({ id, patch }) => [id, patch]),
    [
      [undefined, true],
      ["desk", true],
    ],
  );
  socket.hear(snapshot(5, {}));
  socket.hear({ id: "desk", ...snapshot(5, { 1: { v: 5 } }) });
  socket.hear({ id: "other", ...snapshot(9, {}) });
  socket.hear({ id: "desk", ...change(6, 7) });
  assert.deepEqual(socket.said.slice(2), [
    { type: "unsubscribe", id: "desk" },
    { ...socket.said[1], since: { epoch: "e", seq: 5 } },
  ]);
  socket.hear({ id: "desk", ...change(5, 6, { 1: { v: "of the old one" } }) });
  socket.hear({ id: "desk", type: "unsubscribed" });
  socket.hear({ id: "desk", ...change(5, 8), patch: { calls: { 1: { v: 8 } } } });
  assert.deepEqual(desk.state.get("calls").get("1"), { v: 8 });
  assert.deepEqual([client.position.seq, desk.position.seq], [5, 8]);
  assert.deepEqual(told, ["own state", "desk state 5", "desk change 8"]);
});

test("an id that was removed can be added again, and nothing of the old one is taken for the new one's", async (t) => {
  const { client, socket } = await scripted(t);
  socket.hear({ ...hello, version: "1.1" });
  client.add(7, { topics: ["calls"] });
  assert.throws(() => client.add(7, { topics: ["lines"] }), /already/);
  client.remove(7);
  const again = client.add(7, { topics: ["queues"] });
  socket.hear({ id: 7, ...snapshot(5, { 1: "of the old one" }) });
  assert.equal(again.position, null);
  socket.hear({ id: 7, type: "unsubscribed" });
  socket.hear({ id: 7, ...snapshot(6, {}) });
  assert.equal(again.position.seq, 6);
  const faults = [];
  client.addEventListener("fault", ({ detail }) => faults.push(detail));
  socket.hear({ id: 7, type: "error", code: "bad_message", message: "no" });
  assert.deepEqual(faults, [{ id: 7, code: "bad_message", message: "no" }]);
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

/** How the connection stands when it has a reason, at a server that answers so; with no server if `status` is null. */
async function trouble(status, body = "<html>", headers = {}) {
  const server = createServer((_, response) => response.writeHead(status, headers).end(body));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address();
  if (status === null) await new Promise((resolve) => server.close(resolve));
  const client = new StreamClient({ url: `http://127.0.0.1:${port}/webapi/stream`, key: "s3cr3t", topics: ["calls"] });
  const found = await new Promise((resolve) => {
    client.addEventListener("connection", ({ detail }) => detail.reason && resolve(detail));
    client.connect();
  });
  client.close();
  server.close();
  return { ...found, reason: found.reason.replace(`127.0.0.1:${port}`, "HOST") };
}

test("why there is no connection is said at once, on the console too, and what waiting cannot mend ends it", async (t) => {
  const warned = t.mock.method(console, "warn", () => {});
  const own = (code, message) => JSON.stringify({ result: false, error: { code, message } });
  const cases = [
    [[null], "waiting", "HOST cannot be reached: it is down, or this browser does not trust its certificate."],
    [[502], "waiting", "HOST answers 502: it is not a gateway, but perhaps a proxy in front of one."],
    [[403], "refused", "HOST is not a gateway of callmon: it answers 403."],
    [[200], "refused", "HOST is not a gateway of callmon: it answers 200."],
    [[401, own("key_unknown", "This key is not known.")], "refused", "This key is not known."],
    [[429, own("too_many_requests", "Too many."), { "Retry-After": "7" }], "waiting", "Too many."],
  ];
  for (const [answer, status, reason] of cases) {
    const found = await trouble(...answer);
    assert.deepEqual([found.status, found.reason], [status, reason]);
    assert.match(warned.mock.calls.at(-1).arguments[0], status === "refused" ? /^callmon: .*\.$/ : /Trying again\.$/);
    assert.ok(!found.reason.includes("s3cr3t"));
    if (answer[0] === 429) assert.ok(found.retryIn >= 7 && found.retryIn <= 14);
  }
  assert.equal(warned.mock.callCount(), cases.length);
});

test("the address may be written with ws, and what is none is said at once", async (t) => {
  t.mock.method(console, "warn", () => {});
  const server = createServer((request, response) => response.writeHead(404).end(request.url));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const client = new StreamClient({ url: `ws://127.0.0.1:${server.address().port}/webapi/stream`, key: "k", topics: [] });
  client.connect();
  const [asked] = await once(server, "request");
  assert.deepEqual([asked.method, asked.url], ["POST", "/webapi/ticket"]);
  client.close();
  server.close();
  for (const url of ["", "webapi/stream", "127.0.0.1:8765/webapi/stream", "ftp://127.0.0.1/", null])
    assert.throws(() => new StreamClient({ url, key: "k", topics: [] }), /is not the address of a stream: give it whole/);
});
