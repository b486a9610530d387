/**
 * A client of callmon's stream: one file, no dependency, for browsers and for any runtime with WebSocket and fetch.
 *
 *   import { StreamClient } from "./callmon.js";
 *   const client = new StreamClient({ url: "/webapi/stream", key: "…", topics: ["calls", "queues"] });
 *   client.addEventListener("state", () => draw(client.state));            // a snapshot replaced everything
 *   client.addEventListener("change", ({ detail }) => draw(client.state)); // detail: upsert, remove
 *   client.addEventListener("connection", ({ detail }) => say(detail.status));
 *   client.connect();
 *
 * It follows the protocol's rules. A change is applied where it continues the position; overlap does no harm; a gap is
 * repaired by subscribing again. Two heartbeats' silence is answered with a ping, a third with a new connection. It
 * comes back with full-jitter back-off and resumes where it was, unless it is told not to come back. Once it was live,
 * only the gateway's own refusal counts as that: a proxy that is being changed says other things for a while.
 *
 * It subscribes once the gateway said hello, and asks a gateway of version 1.1 for the fields that changed alone; `state`
 * and the events have whole entities all the same. `client.add("desk", { topics: ["calls"], filter: { ext: ["101"] } })`
 * is one more subscription on the same connection: it has `state`, `position` and the first four events of its own.
 *
 * Events, all with a `detail`:
 *   state       {epoch, seq}                    `state` is new as a whole
 *   change      {epoch, seq, upsert, remove}    topic → {id: entity}, topic → [id]; applied to `state` already
 *   result      {result}                        the new answer of a watched query
 *   heartbeat   {epoch, seq}
 *   stale       {since}                         since when the gateway has heard nothing from the monitor, or null
 *   connection  {status, since, code, reason, retryIn}
 *               status: connecting, live, waiting (retryIn: seconds), refused (for good), closed. reason: a sentence that
 *               says why it is not live, until it is; each is a warning on the console, too. code: the HTTP status, the
 *               close code, or 1006 where a browser does not tell
 *   hello       the frame: pbx, topics, heartbeat, …
 *   fault       {id, code, message}             what was wrong with our last message; id: of what was added, or null
 *   frame       the frame, each as it came
 */

/** @typedef {"connecting" | "live" | "waiting" | "refused" | "closed"} Status */
/** @typedef {{status: Status, since: number, code?: number, reason?: string, retryIn?: number}} Connection */
/** @typedef {{topics?: readonly string[], filter?: object, fields?: readonly string[], merge?: boolean}} Topics */
/** @typedef {Topics & {query?: string, params?: object}} Wanted */
/** @typedef {[low: number, high: number]} Range */
/** @typedef {{code: number, reason?: string, refused?: boolean, own?: boolean, retry?: Range | null}} End */

const BACKOFF_BASE = 0.5;
const BACKOFF_CAP = 30;
const LATER = 5; // 41xx: not sooner than this many seconds
const HANDSHAKE = 10_000;
const PING_EVERY = 30_000;
const COME_BACK = new Set([408, 425, 429]);

/** Server time against this machine's, from the pings that travelled fastest. Times in milliseconds. */
export class ServerClock {
  /** @type {{rtt: number, offset: number}[]} */
  #samples = [];
  offset = 0;
  /** @type {number | null} */
  rtt = null;

  /** A ping sent at `sent` was answered at `received` (both local) with the server's time `server`. */
  add(sent, received, server) {
    const last = this.#samples.at(-1);
    const offset = server - (sent + received) / 2;
    if (last && Math.abs(offset - last.offset) > 500 + last.rtt + received - sent) this.#samples = []; // a clock was set
    this.#samples.push({ rtt: received - sent, offset });
    if (this.#samples.length > 8) this.#samples.shift();
    const best = this.#samples.reduce((one, other) => (other.rtt <= one.rtt ? other : one));
    this.offset = best.offset;
    this.rtt = best.rtt;
  }

  /** The server's time now. */
  now() {
    return Date.now() + this.offset;
  }
}

/** What to do after a close code: "refuse", "later" or "resume". */
export function advice(code) {
  if (code >= 4000 && code < 4100) return "refuse";
  return code >= 4100 && code < 4200 ? "later" : "resume";
}

/** The range of seconds in a close reason; null if there is none. @returns {Range | null} */
export function retryRange(reason) {
  try {
    const [low, high] = JSON.parse(reason).retry_in.map(Number);
    return low >= 0 && high >= low ? [low, high] : null;
  } catch {
    return null;
  }
}

/** State and position of one subscription, by the protocol's rules. No input or output. */
export class Replica {
  /** @type {Map<string, Map<string, any>>} topic → id → entity */
  state = new Map();
  /** @type {{epoch: string, seq: number} | null} */
  position = null;
  /** @type {"snapshot" | "answer" | "repair" | null} what must come first; "answer": to `since` */
  awaiting = "snapshot";
  /** @type {Map<string, Map<string, any>> | null} */
  #parts = null;

  /**
   * A subscription was sent. Returns the `since` to send with it; null if it has to begin with a snapshot.
   * @param {{resume: boolean, sameConnection?: boolean}} how
   */
  subscribed({ resume, sameConnection }) {
    this.#parts = null;
    if (!resume || this.position === null) {
      this.awaiting = "snapshot";
      return null;
    }
    this.awaiting = sameConnection ? "repair" : "answer";
    return this.position;
  }

  /** Apply a frame. Returns "state", "change", "heartbeat", "gap" (subscribe again), or null if it says nothing new. */
  take(frame) {
    if (frame.type === "snapshot") return this.#snapshot(frame);
    if (frame.type === "change") return this.#change(frame);
    return frame.type === "heartbeat" ? this.#heartbeat(frame) : null;
  }

  #snapshot(frame) {
    this.#parts ??= new Map();
    merge(this.#parts, frame.state);
    if (frame.more) return null;
    this.state = this.#parts;
    this.#parts = null;
    this.awaiting = null;
    this.position = { epoch: frame.epoch, seq: frame.seq };
    return "state";
  }

  #change(frame) {
    if (this.position === null || this.awaiting === "snapshot") return null;
    const { epoch, seq } = this.position;
    const continues = frame.epoch === epoch && frame.from <= seq;
    if (!continues) return this.awaiting ? null : "gap";
    this.awaiting = null;
    if (frame.seq <= seq) return null;
    merge(this.state, whole(this.state, frame).upsert);
    for (const [topic, ids] of Object.entries(frame.remove)) for (const id of ids) this.state.get(topic)?.delete(id);
    this.position = { epoch, seq: frame.seq };
    return "change";
  }

  #heartbeat(frame) {
    if (this.position === null || this.awaiting === "snapshot" || this.awaiting === "repair") return null;
    if (frame.epoch !== this.position.epoch || frame.seq < this.position.seq) return this.awaiting ? null : "gap";
    this.awaiting = null;
    this.position = { epoch: frame.epoch, seq: frame.seq };
    return "heartbeat";
  }
}

/** What is watched by one subscription, and what is known of it. Has the events state, change, result and heartbeat. */
export class Subscription extends EventTarget {
  replica = new Replica();
  /** @type {{epoch: string, seq: number} | null} position of the last result */
  answeredAt = null;

  /**
   * `id`: null for the client's own. `wanted`: as for the client.
   * @param {string | number | null} id
   * @param {Wanted} wanted
   */
  constructor(id, wanted) {
    super();
    this.id = id;
    this.wanted = wanted;
  }

  get state() {
    return this.replica.state;
  }

  get position() {
    return this.replica.position;
  }

  /** The message with which it begins. `newer`: whether the gateway knows patches. */
  begin({ resume, sameConnection, newer }) {
    const named = this.id === null ? {} : { id: this.id };
    const topics = !("query" in this.wanted);
    const since = topics ? this.replica.subscribed({ resume, sameConnection }) : this.answeredAt;
    const patch = topics && newer && { patch: true };
    return { type: "subscribe", ...named, ...this.wanted, ...patch, ...(since && { since }) };
  }
}

/** The change with whole entities in place of the fields that changed. */
function whole(state, frame) {
  if (!frame.patch) return frame;
  const upsert = { ...frame.upsert };
  for (const [topic, entities] of Object.entries(frame.patch)) {
    const changed = Object.entries(entities).map(([id, fields]) => [id, { ...state.get(topic)?.get(id), ...fields }]);
    upsert[topic] = { ...upsert[topic], ...Object.fromEntries(changed) }; // an id may be "__proto__"
  }
  return { ...frame, upsert, patch: undefined };
}

function merge(state, topics) {
  for (const [topic, entities] of Object.entries(topics)) {
    if (!state.has(topic)) state.set(topic, new Map());
    for (const [id, entity] of Object.entries(entities)) state.get(topic).set(id, entity);
  }
}

export class StreamClient extends EventTarget {
  clock = new ServerClock();
  /** @type {string | null} */
  staleSince = null;
  /** @type {Connection} */
  connection = { status: "closed", since: Date.now() };
  /** @type {any} */
  hello = null;
  /** @type {number | null} milliseconds that the last frame took from the server to here */
  lag = null;
  reconnects = 0;
  repairs = 0;

  /**
   * `url`: of the stream, without a key. `key` is exchanged for single-use tickets where the gateway gives them.
   * `pbx`: the PBX to watch, for a key for several.
   * Either `topics` (and `filter`: lists by field; `fields`: the only ones wanted; `merge` false: every change by
   * itself), or `query` (and `params`).
   * @param {{url: string | URL, key: string, pbx?: string} & Wanted} options
   */
  constructor({ url, key, pbx = "", ...wanted }) {
    super();
    this.#pbx = pbx;
    this.#url = addressOf(url);
    this.#key = key;
    this.#own = new Subscription(null, only(wanted));
  }

  get state() {
    return this.#own.state;
  }

  get position() {
    return this.#own.position;
  }

  /** Connect, and stay connected until `close()` or a refusal. */
  connect() {
    this.#run ??= this.#follow(++this.#turn);
  }

  /** Leave. `connect()` begins afresh. */
  close() {
    this.#turn++;
    this.#run = null;
    for (const held of this.#all()) held.replica = new Replica();
    this.#socket?.close(1000);
    this.#wake?.();
    this.#enter({ status: "closed" });
  }

  /**
   * Watch something else from now on: {topics, filter, fields, merge} or {query, params}. Begins with a snapshot.
   * @param {Wanted} wanted
   */
  subscribe(wanted) {
    this.#own = new Subscription(null, only(wanted));
    if (this.#greeted) this.#subscribe(this.#own, { resume: false, sameConnection: true });
  }

  /**
   * Watch this too, on the same connection. `id`: a text or a whole number. Returns the Subscription.
   * @param {string | number} id
   * @param {Wanted} wanted
   */
  add(id, wanted) {
    if (this.#more.has(id)) throw new Error(`there is a subscription ${id} already`);
    const held = new Subscription(id, only(wanted));
    this.#more.set(id, held);
    if (this.#greeted) this.#subscribe(held, { resume: false, sameConnection: false });
    return held;
  }

  /**
   * Watch what was added with this id no more.
   * @param {string | number} id
   */
  remove(id) {
    if (this.#more.delete(id) && this.#greeted) this.#unsubscribe(id);
  }

  #url;
  #key;
  #pbx;
  /** @type {Subscription} */
  #own;
  /** @type {Map<string | number, Subscription>} */
  #more = new Map();
  /** @type {Map<string | number, number>} id → how many of this id are to end, until the gateway says so */
  #ending = new Map();
  #greeted = false; // whether this connection's hello came
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {Promise<void> | null} */
  #run = null;
  #turn = 0;
  /** @type {(() => void) | null} ends the wait before the next attempt */
  #wake = null;
  #failures = 0;
  #tickets = true; // until the gateway says that it gives none

  #begun = false; // whether it was ever live
  #said = ""; // the reason that was told last, until it works again

  async #follow(turn) {
    while (turn === this.#turn) {
      this.#enter({ status: "connecting", reason: this.#said });
      const end = await this.#converse(turn);
      if (turn !== this.#turn) return;
      if (end.refused && (end.own || !this.#begun)) {
        this.#run = null;
        this.#turn++;
        this.#enter({ status: "refused", code: end.code, reason: end.reason });
        return;
      }
      const retryIn = this.#delay(end);
      this.#failures++;
      this.reconnects++;
      this.#enter({ status: "waiting", retryIn, code: end.code, reason: end.reason });
      await this.#wait(retryIn * 1000);
    }
  }

  /** @param {End} end */
  #delay({ code, retry }) {
    if (retry) return between(...retry);
    const jittered = between(0, Math.min(BACKOFF_CAP, BACKOFF_BASE * 2 ** Math.min(this.#failures, 10)));
    return advice(code) === "later" ? LATER + jittered : jittered;
  }

  /** One connection from its handshake to its end. @returns {Promise<End>} */
  async #converse(turn) {
    const admitted = await this.#admission();
    if (admitted.end || turn !== this.#turn) return admitted.end ?? { code: 1000 };
    const { code, reason, opened } = await this.#listen(admitted.address);
    if (!opened) return this.#refusal(code);
    if (advice(code) === "refuse") return { code, reason, refused: true, own: true };
    return { code, reason: closed(this.#url, code, reason), retry: retryRange(reason) };
  }

  /** Why a handshake failed: a gateway tells it to a plain request for the same address. @returns {Promise<End>} */
  async #refusal(code) {
    const { end, body } = await this.#probe("GET", "stream");
    if (end && body?.error?.code !== "upgrade_required") return end;
    return { code, reason: noUpgrade(this.#url) };
  }

  /** The address to connect to, with a fresh ticket if the gateway gives tickets, else with the key. */
  async #admission() {
    if (this.#tickets) {
      const { end, status = 0, body } = await this.#probe("POST", "ticket");
      if (status === 200 && body?.ticket) return { address: this.#socketUrl("stream", { ticket: body.ticket }) };
      const other = { code: status, reason: foreign(this.#url, status), refused: true };
      if (!end?.own || ![404, 405, 503].includes(status)) return { end: end ?? other };
      this.#tickets = status === 503; // without its bus a gateway gives no tickets, and yet serves what it knows
    }
    const named = this.#pbx ? `${encodeURIComponent(this.#pbx)}/` : "";
    return { address: this.#socketUrl(`${encodeURIComponent(this.#key)}/${named}stream`) };
  }

  #socketUrl(tail, query = {}) {
    const url = new URL(tail, this.#url);
    url.protocol = url.protocol.replace("http", "ws");
    url.search = new URLSearchParams(query).toString();
    return url;
  }

  /**
   * Ask over HTTP what a browser hides of a failed handshake: whether the key holds, and when to come back.
   * @returns {Promise<{status?: number, body?: any, end?: End}>}
   */
  async #probe(method, tail) {
    const headers = { Authorization: `Bearer ${this.#key}`, ...(this.#pbx && { "Callmon-Pbx": this.#pbx }) };
    try {
      const signal = AbortSignal.timeout(HANDSHAKE);
      const answer = await fetch(new URL(tail, new URL(".", this.#url)), {
        method,
        headers,
        signal,
        cache: "no-store",
      });
      const { status } = answer;
      const body = await answer.json().catch(() => null);
      if (answer.ok) return { status, body };
      const refused = status >= 400 && status < 500 && !COME_BACK.has(status);
      const after = Number(answer.headers.get("Retry-After"));
      const own = typeof body?.error?.code === "string";
      const reason = own ? body.error.message : foreign(this.#url, status, refused);
      /** @type {Range | null} */
      const retry = after ? [after, 2 * after] : null;
      return { status, body, end: { code: status, reason, refused, own, retry } };
    } catch (error) {
      return { end: { code: 1006, reason: unreachable(this.#url, error) } };
    }
  }

  #listen(address) {
    return new Promise((resolve) => {
      const socket = new WebSocket(address, ["callmon.v1.json"]);
      this.#socket = socket;
      const watch = new Watch(socket);
      let opened = false;
      const end = (code, reason) => {
        watch.stop();
        socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
        if (this.#socket === socket) this.#socket = null;
        this.#greeted = false;
        this.#ending.clear();
        resolve({ code, reason, opened });
      };
      socket.onopen = () => {
        opened = true;
        watch.start();
      };
      socket.onclose = ({ code, reason }) => end(code, reason);
      socket.onerror = () => opened || end(1006, ""); // Node 20 and 22 tell a failed handshake by nothing else
      socket.onmessage = ({ data }) => {
        try {
          this.#take(JSON.parse(data), watch);
        } catch (error) {
          if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
          console.error("callmon: not a frame of the protocol", error);
          watch.drop();
        }
      };
      watch.onsilence = () => {
        socket.close();
        end(1006, "");
      };
    });
  }

  #take(frame, watch) {
    watch.heard();
    if (frame.server_time) this.lag = Math.max(0, this.clock.now() - Date.parse(frame.server_time));
    this.#tell("frame", frame);
    switch (frame.type) {
      case "hello":
        this.hello = frame;
        watch.heartbeat = frame.heartbeat * 1000;
        this.#tell("hello", frame); // who hears it may want something else
        this.#greeted = true;
        for (const held of this.#all()) this.#subscribe(held, { resume: true, sameConnection: false });
        return;
      case "pong":
        return this.clock.add(frame.at, Date.now(), Date.parse(frame.server_time));
      case "unsubscribed":
        return this.#ended(frame.id);
      case "error":
        if (frame.code === "unknown_id") this.#ended(frame.id);
        return this.#tell("fault", { id: frame.id ?? null, code: frame.code, message: frame.message });
    }
    const held = frame.id === undefined ? this.#own : this.#more.get(frame.id);
    if (!held || this.#ending.get(frame.id)) return;
    if (frame.type === "result") {
      this.#live();
      held.answeredAt = { epoch: frame.epoch, seq: frame.seq };
      this.#tell("result", { result: frame.result }, held);
    } else this.#apply(frame, held);
  }

  #apply(frame, held) {
    frame = whole(held.state, frame);
    const what = held.replica.take(frame);
    if (what === "gap") {
      this.repairs++;
      if (held.id !== null) this.#unsubscribe(held.id);
      return this.#subscribe(held, { resume: true, sameConnection: true });
    }
    if (frame.type === "heartbeat" && this.staleSince !== frame.stale_since) {
      this.staleSince = frame.stale_since;
      this.#tell("stale", { since: frame.stale_since });
    }
    if (held.replica.awaiting === null) this.#live();
    if (what) this.#tell(what, { ...held.position, upsert: frame.upsert, remove: frame.remove }, held);
  }

  #all() {
    return [this.#own, ...this.#more.values()];
  }

  #subscribe(held, how) {
    const newer = this.hello?.version !== undefined; // version 1.0 had no such field
    this.#socket?.send(JSON.stringify(held.begin({ ...how, newer })));
  }

  #unsubscribe(id) {
    this.#ending.set(id, (this.#ending.get(id) ?? 0) + 1);
    this.#socket?.send(JSON.stringify({ type: "unsubscribe", id }));
  }

  #ended(id) {
    this.#ending.set(id, Math.max(0, (this.#ending.get(id) ?? 0) - 1));
  }

  #live() {
    this.#failures = 0;
    this.#begun = true;
    if (this.connection.status !== "live") this.#enter({ status: "live" });
  }

  #enter(connection) {
    const { status, reason = "" } = connection;
    if (reason && reason !== this.#said) {
      console.warn(`callmon: ${reason}${status === "refused" ? "" : " Trying again."}`);
    }
    this.#said = status === "live" || status === "closed" ? "" : reason;
    this.connection = { ...connection, since: Date.now() };
    this.#tell("connection", this.connection);
  }

  #tell(type, detail, held = this.#own) {
    const target = held.id === null ? this : held;
    target.dispatchEvent(new CustomEvent(type, { detail }));
  }

  async #wait(milliseconds) {
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve(null);
      };
    });
    this.#wake = null;
  }
}

/** Keeps the time of one connection: pings for the clock, and after two heartbeats' silence; a third one ends it. */
class Watch {
  heartbeat = 5_000;
  onsilence = () => {};
  #socket;
  #last = performance.now();
  #pinged = 0;
  /** @type {any} */
  #timer;
  /** @type {number | null} when we last asked after two heartbeats' silence */
  #asked = null;

  constructor(socket) {
    this.#socket = socket;
    this.#timer = setTimeout(() => this.onsilence(), HANDSHAKE);
  }

  start() {
    clearTimeout(this.#timer);
    this.heard();
    for (const after of [0, 300, 600]) setTimeout(() => this.#ping(), after);
    this.#timer = setInterval(() => this.#look(), 500);
  }

  stop() {
    clearInterval(this.#timer); // clears a timeout too
  }

  heard() {
    this.#last = performance.now();
    this.#asked = null;
  }

  drop() {
    this.onsilence();
  }

  #look() {
    const now = performance.now();
    if (this.#asked !== null) {
      if (now - this.#asked >= this.heartbeat) this.onsilence();
    } else if (now - this.#last >= 2 * this.heartbeat) {
      this.#asked = now; // not from the last word on: this machine may have slept
      this.#ping();
    } else if (now - this.#pinged >= PING_EVERY) this.#ping();
  }

  #ping() {
    if (this.#socket.readyState !== 1) return;
    this.#pinged = performance.now();
    this.#socket.send(JSON.stringify({ type: "ping", at: Date.now() }));
  }
}

/** What a subscription says: a query, or topics. @param {Wanted} wanted */
function only({ topics, filter, fields, merge, query, params }) {
  return query ? { query, params } : { topics, filter, fields, merge };
}

/** The stream's address for requests over HTTP; ws and wss are the same place. */
function addressOf(text) {
  let url = null;
  try {
    url = new URL(text, globalThis.location?.href);
  } catch {} // said below
  if (!url || !/^(http|ws)s?:$/.test(url.protocol)) {
    throw new TypeError(`${text} is not the address of a stream: give it whole, with http or https and the host`);
  }
  url.protocol = url.protocol.replace("ws", "http");
  return url;
}

/** A browser does not tell these reasons apart. */
function unreachable(url, error) {
  if (error?.name === "TimeoutError") return `${url.host} does not answer.`;
  const here = globalThis.location?.origin;
  const foreign = here && here !== "null" && here !== url.origin;
  const closed = foreign ? `, or its cors_origins does not name ${here}` : "";
  return `${url.host} cannot be reached: it is down, or this browser does not trust its certificate${closed}.`;
}

function foreign(url, status, refused = true) {
  if (refused) return `${url.host} is not a gateway of callmon: it answers ${status}.`;
  return `${url.host} answers ${status}: it is not a gateway, but perhaps a proxy in front of one.`;
}

function noUpgrade(url) {
  return `${url.host} answers, but does not open a WebSocket: a proxy in front of it must pass on Upgrade and Connection.`;
}

function closed(url, code, reason) {
  if (code === 1006) return `The connection to ${url.host} was lost.`;
  const why = reason && !retryRange(reason) ? `${code}: ${reason}` : code;
  return `${url.host} closed the connection (${why}).`;
}

function between(low, high) {
  return low + Math.random() * (high - low);
}
