// A program of a user, as `tsc --strict` wants it.
import { advice, Replica, StreamClient, type Change, type Entity, type Filter, type Options } from "callmon-client";

const filter: Filter = { queue: ["800", 801], state: ["Talking"] };
const options: Options = { url: new URL("ws://127.0.0.1:8765/webapi/stream"), key: "key", topics: ["calls"], filter };
const client: StreamClient = new StreamClient(options);

client.addEventListener("change", ({ detail }) => {
  const gone: string[] = detail.remove["calls"] ?? [];
  for (const [id, call] of Object.entries(detail.upsert["calls"] ?? {})) console.log(id, call.state, gone.length);
});
client.addEventListener("state", ({ detail: { epoch, seq } }) => console.log(`${epoch}/${seq}`, client.state.size));
client.addEventListener("connection", ({ detail }) => {
  if (detail.status === "waiting") console.log(detail.reason ?? "", (detail.retryIn ?? 0).toFixed(1));
});
client.addEventListener("frame", ({ detail }) => {
  if (detail.type === "change") apply(detail);
  else if (detail.type === "heartbeat") console.log(detail.stale_since ?? "live");
});
client.subscribe({ query: "ext.state.get", params: { num: 101 } });
client.connect();
const call: Entity | undefined = client.state.get("calls")?.get("1");
console.log(call?.state, client.position?.seq, client.lag?.toFixed(0), client.hello?.topics.length);

function apply(change: Change): void {
  const held = new Replica();
  const since = held.subscribed({ resume: true, sameConnection: false });
  const told: "state" | "change" | "heartbeat" | "gap" | null = held.take(change);
  const what: "refuse" | "later" | "resume" = advice(4001);
  console.log(since?.seq, told, what);
}
