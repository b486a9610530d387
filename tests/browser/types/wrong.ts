// Each line is a mistake that the types must find.
import { StreamClient } from "callmon-client";
export const noKey = new StreamClient({ url: "/webapi/stream", topics: ["calls"] });
export const noTopic = new StreamClient({ url: "/webapi/stream", key: "key", topics: ["cals"] });
export const both = new StreamClient({ url: "/webapi/stream", key: "key", topics: ["calls"], query: "pbx.calls.get" });
export const position: number = noKey.position.seq;
noKey.addEventListener("changed", () => {});
noKey.addEventListener("stale", ({ detail }) => detail.since.length);
noKey.state = new Map();
