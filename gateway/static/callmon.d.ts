/** Types of `callmon.js`, a client of callmon's stream. What each event means stands at the head of that file. */

/** An entity as the gateway sends it; `/asyncapi.json` of a gateway describes the fields of each topic. */
export type Entity = Record<string, any>;

/** A place in the history of the state: whoever holds it holds the state exactly. */
export interface Position {
  epoch: string;
  seq: number;
}

export type Topic =
  | "system"
  | "calls"
  | "extensions"
  | "queues"
  | "groups"
  | "ivrs"
  | "lines"
  | "extgroups"
  | "ended"
  | "queuestats"
  | "extstats"
  | "pbxstats"
  | "contacts"
  | "pbxs";

/** Lists by field: alternatives within a field, all fields together. */
export interface Filter {
  ext?: readonly (string | number)[];
  queue?: readonly (string | number)[];
  group?: readonly (string | number)[];
  line?: readonly (string | number)[];
  extgroup?: readonly (string | number)[];
  direction?: readonly string[];
  state?: readonly string[];
  call?: readonly (string | number)[];
}

/** What to watch: topics (`merge` false: every change by itself), or the answer of a documented query. */
export type Wanted =
  | {
      topics: readonly Topic[];
      filter?: Filter;
      /** The only fields of each entity that are sent. */
      fields?: readonly string[];
      merge?: boolean;
      query?: undefined;
      params?: undefined;
    }
  | {
      query: string;
      params?: Record<string, string | number>;
      topics?: undefined;
      filter?: undefined;
      fields?: undefined;
      merge?: undefined;
    };

/** The name of one of several subscriptions on a connection. */
export type SubscriptionId = string | number;

/** `url`: of the stream, without a key; in a browser it may be relative. `pbx`: for a key for several PBXs. */
export type Options = { url: string | URL; key: string; pbx?: string } & Wanted;

export interface Hello {
  type: "hello";
  protocol: number;
  /** Absent: 1.0. */
  version?: string;
  server: string;
  /** Null with a key for several PBXs, if the client named none. */
  pbx: string | null;
  /** Seconds between heartbeats. */
  heartbeat: number;
  server_time: string;
  topics: Topic[];
}
export interface Snapshot extends Position {
  type: "snapshot";
  id?: SubscriptionId;
  server_time: string;
  state: Record<string, Record<string, Entity>>;
  /** True on all parts but the last. */
  more: boolean;
}
export interface Change extends Position {
  type: "change";
  id?: SubscriptionId;
  from: number;
  server_time: string;
  upsert: Record<string, Record<string, Entity>>;
  remove: Record<string, string[]>;
  /** The fields that changed of entities that the client has. */
  patch?: Record<string, Record<string, Entity>>;
}
export interface Result extends Position {
  type: "result";
  id?: SubscriptionId;
  server_time: string;
  result: any;
}
export interface Heartbeat extends Position {
  type: "heartbeat";
  id?: SubscriptionId;
  server_time: string;
  stale_since: string | null;
}
export interface Unsubscribed {
  type: "unsubscribed";
  id?: SubscriptionId;
}
export interface Fault {
  type: "error";
  id?: SubscriptionId;
  code: string;
  message: string;
}
export interface Pong {
  type: "pong";
  at: number | string | null;
  server_time: string;
}
export type Frame = Hello | Snapshot | Change | Result | Heartbeat | Unsubscribed | Fault | Pong;

/** How the connection stands, `since` when (this machine's milliseconds). */
export interface Connection {
  status: "connecting" | "live" | "waiting" | "refused" | "closed";
  since: number;
  /** HTTP status or close code; 1006 where a browser does not tell. */
  code?: number;
  /** A sentence that says why it is not live. */
  reason?: string;
  /** Seconds until the next attempt, with the status `waiting`. */
  retryIn?: number;
}

/** The `detail` of each event. */
export interface StreamEvents {
  state: Position;
  change: Position & Pick<Change, "upsert" | "remove">;
  result: { result: any };
  heartbeat: Position;
  stale: { since: string | null };
  connection: Connection;
  hello: Hello;
  fault: { id: SubscriptionId | null; code: string; message: string };
  frame: Frame;
}

/** An EventTarget whose events are those of StreamEvents. */
export class StreamClient {
  constructor(options: Options);
  /** The state, topic → id → entity, exact at `position`. */
  readonly state: Map<string, Map<string, Entity>>;
  readonly position: Position | null;
  readonly connection: Connection;
  readonly clock: ServerClock;
  readonly hello: Hello | null;
  /** Since when the gateway has heard nothing from the monitor; null while it hears it. */
  readonly staleSince: string | null;
  /** Milliseconds that the last frame took from the server to here. */
  readonly lag: number | null;
  readonly reconnects: number;
  readonly repairs: number;
  /** Connect, and stay connected until `close()` or a refusal. */
  connect(): void;
  /** Leave. `connect()` begins afresh. */
  close(): void;
  /** Watch something else from now on. Begins with a snapshot. */
  subscribe(wanted: Wanted): void;
  /** Watch this too, on the same connection. */
  add(id: SubscriptionId, wanted: Wanted): Subscription;
  /** Watch what was added with this id no more. */
  remove(id: SubscriptionId): void;
  addEventListener<Name extends keyof StreamEvents>(
    type: Name,
    listener: (event: CustomEvent<StreamEvents[Name]>) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<Name extends keyof StreamEvents>(
    type: Name,
    listener: (event: CustomEvent<StreamEvents[Name]>) => void,
    options?: boolean | EventListenerOptions,
  ): void;
}

/** What was added to a client. An EventTarget with the events state, change, result and heartbeat. */
export class Subscription {
  constructor(id: SubscriptionId | null, wanted: Wanted);
  readonly id: SubscriptionId | null;
  readonly state: Map<string, Map<string, Entity>>;
  readonly position: Position | null;
  addEventListener<Name extends "state" | "change" | "result" | "heartbeat">(
    type: Name,
    listener: (event: CustomEvent<StreamEvents[Name]>) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<Name extends "state" | "change" | "result" | "heartbeat">(
    type: Name,
    listener: (event: CustomEvent<StreamEvents[Name]>) => void,
    options?: boolean | EventListenerOptions,
  ): void;
}

/** Server time against this machine's, from the pings that travelled fastest. Times in milliseconds. */
export class ServerClock {
  offset: number;
  rtt: number | null;
  add(sent: number, received: number, server: number): void;
  now(): number;
}

/** State and position of one subscription, by the protocol's rules, for a connection of your own. */
export class Replica {
  state: Map<string, Map<string, Entity>>;
  position: Position | null;
  awaiting: "snapshot" | "answer" | "repair" | null;
  /** A subscription was sent. Returns the `since` to send with it; null if it has to begin with a snapshot. */
  subscribed(how: { resume: boolean; sameConnection?: boolean }): Position | null;
  /** Apply a frame. "gap": subscribe again. Null: it says nothing new. */
  take(frame: Frame): "state" | "change" | "heartbeat" | "gap" | null;
}

/** What to do after a close code. */
export function advice(code: number): "refuse" | "later" | "resume";

/** The range of seconds in a close reason; null if there is none. */
export function retryRange(reason: string): [number, number] | null;
