// The module is what its types say, and has nothing that they do not tell. "./module.js" is a copy of callmon.js that
// stands where its types are out of sight. Listeners are left out: EventTarget does not know the events' details.
import * as declared from "callmon-client";
import * as written from "./module.js";

type Listening = "addEventListener" | "removeEventListener";
export const client: new (options: declared.Options) => Omit<declared.StreamClient, Listening | "add"> =
  written.StreamClient;
export const target: new (options: declared.Options) => EventTarget = written.StreamClient;
export const more: new (id: declared.SubscriptionId, wanted: declared.Wanted) => Omit<declared.Subscription, Listening> =
  written.Subscription;
export const rest: Omit<typeof declared, "StreamClient" | "Subscription"> = written;
export const wanted: declared.Connection = new written.StreamClient({} as declared.Options).connection;

type Nothing<Names extends never> = Names;
export type Undeclared = [
  Nothing<Exclude<keyof typeof written, keyof typeof declared>>,
  Nothing<Exclude<keyof written.StreamClient, keyof (declared.StreamClient & EventTarget)>>,
  Nothing<Exclude<keyof written.Replica, keyof declared.Replica>>,
  Nothing<Exclude<keyof written.ServerClock, keyof declared.ServerClock>>,
];
