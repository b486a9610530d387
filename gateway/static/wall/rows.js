/** What views show of queues, calls and lines. Pure. */

import { byNumber, doing, tally, topic } from "./people.js";
import { instant } from "./times.js";

const TARGET = 20; // seconds, where the PBX says nothing

/** A row a queue. `filter`: the address's; people without queues stand for theirs. */
export function queueRows(state, filter) {
  const extensions = topic(state, "extensions");
  const figures = topic(state, "queuestats");
  const named = !filter?.queue && (filter?.ext || filter?.extgroup || filter?.group);
  const wanted = (queue) => !named || queue.agents.some((agent) => extensions.has(agent.num));
  return [...topic(state, "queues").values()].filter(wanted).sort(byNumber).map((queue) => {
    const loggedIn = new Set(queue.loggedIn);
    const agents = queue.agents
      .map((agent) => extensions.get(agent.num))
      .filter(Boolean)
      .map((ext) => doing(ext, loggedIn.has(ext.num)));
    const stats = figures.get(queue.num) ?? null;
    return {
      num: queue.num,
      name: queue.name,
      waiting: queue.waiting,
      oldest: queue.waiting.map((one) => one.since).sort()[0] ?? null,
      agents: tally(agents),
      staff: agents.length,
      target: stats?.target ?? queue.slaTime ?? TARGET,
      stats,
    };
  });
}

/** A row a call, the oldest first. `kind`: its colour; `word`: a key of the words; `waits`: in a queue. */
export function callRows(state) {
  const queues = topic(state, "queues");
  const waiting = new Set([...queues.values()].flatMap((queue) => (queue.waiting ?? []).map((one) => one.callID)));
  return [...topic(state, "calls").values()]
    .map((call) => ({
      id: call.callID,
      waits: waiting.has(call.callID),
      direction: directionOf(call.direction),
      ...ends(call, queues),
      via: via(call, queues),
      ...progress(call),
      started: call.startedAt,
    }))
    .sort((one, other) => (one.started < other.started ? -1 : one.started > other.started ? 1 : one.id - other.id));
}

const NOBODY = { num: "–", name: "" };

/** The near end of a call to outside is whoever has it now. */
function ends(call, queues) {
  const from = call.owner ? party(call.owner) : NOBODY;
  const to = callee(call, queues);
  if (!to.outside && to.num === from.num) return { from, to: NOBODY }; // while a leg leaves
  return directionOf(call.direction) === "outbound" && from.outside ? { from: to, to: from } : { from, to };
}

function progress(call) {
  if (call.state === "Talking" && !hosted(call)) return { kind: "talking", word: "talking" };
  if (call.state === "Transferring" || call.state === "Rerouting") return { kind: "away", word: "transferring" };
  const rings = call.routingTo.some((leg) => leg.status === "Ringing" && leg.dnType !== "externalline");
  if (rings) return { kind: "ringing", word: "ringing" };
  if (call.queue) return { kind: "waiting", word: "inQueue" };
  if (call.AConnList.some((leg) => leg.dnType === "ivr")) return { kind: "away", word: "inMenu" };
  return { kind: "ringing", word: call.direction === "Outbound" ? "dialing" : "routing" };
}

/** Whether it is a queue or a menu that the caller hears, and nobody else. */
const hosted = (call) => call.talkTo.length > 0 && call.talkTo.every((leg) => leg.dnType === "queue" || leg.dnType === "ivr");

function callee(call, queues) {
  const legs = call.talkTo.length && !(hosted(call) && call.routingTo.length) ? call.talkTo : call.routingTo;
  if (!legs.length) return call.queue ? { num: call.queue, name: queues.get(call.queue)?.name ?? "" } : elsewhere(call);
  return { ...party(legs[0]), more: legs.length - 1 };
}

function elsewhere(call) {
  const other = call.AConnList.find((leg) => leg.dnNum !== call.owner?.dnNum);
  return other ? party(other) : { num: call.owner?.externalParty ?? "", name: "" };
}

/** A leg's person. A trunk's leg is the person outside, not the trunk. */
function party(leg) {
  if (leg.dnType === "externalline") return { num: leg.externalParty, name: leg.partyName, outside: true };
  return { num: leg.dnNum, name: leg.name };
}

function via(call, queues) {
  const num = queueOf(call) || call.groups[0];
  return num ? queues.get(num)?.name || num : call.did;
}

const directionOf = (word) => word === "Outbound" ? "outbound" : /Internal$/.test(word) ? "internal" : "inbound";

/** Today's inbound calls that nobody took, the latest first. `spoken`: with somebody since. */
export function missedRows(state, midnight) {
  const queues = topic(state, "queues");
  const ended = [...topic(state, "ended").values()];
  const talks = ended // of monitors that do not tell
    .filter((call) => call.answeredAt && call.returnedAt === undefined)
    .flatMap((call) => [call.caller, call.callee].map((num) => [call.answeredAt, digits(num)]));
  const talked = (num, since) => talks.some(([at, other]) => at > since && alike(num, other));
  return ended
    .filter((call) => /^(missed|abandoned)$/.test(call.outcome))
    .filter((call) => directionOf(call.direction) === "inbound" && instant(call.endedAt) >= midnight)
    .map((call) => ({
      id: `${call.callID}@${call.startedAt}`,
      num: call.caller,
      name: call.callerName,
      to: missing(call, queues),
      ended: instant(call.endedAt),
      waited: instant(call.endedAt) - instant(call.queuedAt ?? call.startedAt),
      outcome: call.outcome === "abandoned" && call.queue ? "abandonedCall" : queueOf(call) || call.outcome === "missed" ? "missedCall" : "menuCall",
      spoken: Boolean(call.returnedAt) || talked(digits(call.caller), call.endedAt),
    }))
    .sort((one, other) => other.ended - one.ended);
}

const digits = (text) => text.replace(/^[0+]+|\D/g, "");

/** Whether two numbers are one: a country may be missing. */
const alike = (one, other) =>
  one.length > 6 && other.length > 6 && Math.abs(one.length - other.length) < 4 && (one.endsWith(other) || other.endsWith(one));

/** A row a caller: its latest, and all in `calls`. `rows`: latest first. */
export function byCaller(rows) {
  const callers = new Map();
  for (const row of rows) {
    const who = /[1-9]/.test(row.num) ? row.num.replace(/[^\d+]/g, "") : row.id;
    const caller = callers.get(who);
    if (caller) caller.calls.push(row);
    else callers.set(who, { ...row, calls: [row] });
  }
  return [...callers.values()];
}

/** Whom the caller wanted. */
function missing(call, queues) {
  const queue = queueOf(call);
  if (queue) return queues.get(queue)?.name || queue;
  return [call.callee, call.calleeName].filter(Boolean).join(" ") || call.groups[0] || call.did;
}

const queueOf = (call) => call.queue || call.queues[0] || "";

export const lineRows = (state) => [...topic(state, "lines").values()].sort(byNumber);

/** Rows by a column's `value`; `order`: its name, with "-" the greatest first. */
export function sorted(rows, columns, order, language) {
  const { value } = columns.find(({ name }) => name === order.replace("-", ""));
  const { compare } = new Intl.Collator(language, { numeric: true });
  const sign = order[0] === "-" ? -1 : 1;
  return rows
    .map((row) => ({ row, by: value(row) }))
    .sort(({ by: one }, { by: other }) => sign * (typeof one === "number" ? one - other : compare(one, other)))
    .map(({ row }) => row);
}

/** Whether any text of the row has all words of `wanted` in it. */
export function matches(texts, wanted) {
  const text = texts.filter(Boolean).join(" ").toLocaleLowerCase();
  return wanted.toLocaleLowerCase().split(/\s+/).every((word) => text.includes(word));
}
