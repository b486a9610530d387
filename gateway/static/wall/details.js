/** What opens over the wall: a call's legs, an agent, a queue, the keys. */

import { useLayoutEffect, useRef } from "preact/hooks";
import { stateWord } from "./agents.js";
import { AlarmList } from "./announcer.js";
import { column, nameIn, Outcome } from "./calls.js";
import { clockTime, html, lasting, nameOf, State, Tel, Timer, Total } from "./parts.js";
import { agentRows, byNumber, fullName, STATES, tally } from "./people.js";
import { byCaller, missedRows } from "./rows.js";
import { detail, kiosk, shown, singleKeys, toggleKeys, words } from "./store.js";
import { Table } from "./table.js";
import { instant } from "./times.js";

export function Details() {
  const dialog = useRef(null);
  const open = detail.value !== null;
  useLayoutEffect(() => {
    if (!open) return dialog.current.close();
    if (!dialog.current.open) dialog.current.showModal();
    if (!history.state?.over) history.pushState({ over: true }, "");
  }, [detail.value]);
  // The browser tells of a closing a frame later: something else may be open by then.
  const closed = () => {
    if (!dialog.current.open) detail.value = null;
  };
  return html`<dialog ref=${dialog} aria-label=${words.details} onClose=${closed}
      onClick=${(event) => event.target === dialog.current && dialog.current.close()}>
    ${open && html`<div class="inside">${content(detail.value)}
      <button class="close" autofocus onClick=${() => (detail.value = null)}>${words.close}</button></div>`}
  </dialog>`;
}

function content({ kind, id }) {
  const state = shown();
  if (kind === "help")
    return html`<h2>${words.help}</h2><dl class="keys">
    ${words.keys.map(([key, what]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${what}</dd></div>`)}</dl>
    <p><label><input type="checkbox" checked=${singleKeys.value} onChange=${toggleKeys} /> ${words.singleKeys}</label></p>
    <p><a href=${otherMode()}>${kiosk ? words.deskMode : words.tvMode}</a></p>`;
  if (kind === "alarms") return html`<${AlarmList} />`;
  const [topic, drawn] = OPENED[kind];
  const found = state.get(topic)?.get(id);
  return found ? drawn(found, state, id) : html`<h2>${words.details}</h2><p>${kind === "call" ? words.callOver : words.nobody}</p>`;
}

const OPENED = { call: ["calls", call], ended: ["ended", ended], agent: ["extensions", agent], queue: ["queues", queue] };

/** The address of this view in TV mode, or out of it. */
function otherMode() {
  const address = new URL(location.href);
  address.searchParams.set("kiosk", kiosk ? "0" : "1");
  return address.href;
}

const at = (text) => clockTime(Date.parse(text));
const running = (since) => since && html`<${Timer} since=${since} />`;

const otherOf = (leg) => nameOf(leg.externalParty, leg.partyName);
const statusOf = (leg) => (leg.listening ? words.listens : (words.legs[leg.status] ?? leg.status));
const NAME = column("name", "who", (one) => one.name, (one) => nameIn(one.name));
const TIME = column("time", "right", (one) => -(instant(one.since) ?? 0), (one) => running(one.since));
const LEGS = [
  column("number", "num", (leg) => leg.dnNum, (leg) => leg.dnNum),
  NAME,
  column("party", "other", (leg) => `${leg.externalParty} ${otherOf(leg)}`,
    (leg) => html`<span class="name">${(leg.hidden || leg.externalParty) && html`<${Tel} num=${leg.externalParty} />`} ${otherOf(leg)}</span>`),
  column("status", "now", statusOf, statusOf),
  TIME,
];

function call(found) {
  const legs = found.AConnList.map((leg) => ({ ...leg, id: `${leg.dnNum}/${leg.legId}/${leg.externalParty}` }));
  return html`<h2>${words.details} · ${found.callID}</h2>
    <p>${words.started} ${at(found.startedAt)} · <${Timer} since=${found.startedAt} />
      ${found.did && ` · DID ${found.did}`}</p>
    <${Table} name="legs" columns=${LEGS} rows=${legs} kept=${false} />`;
}

function ended(found, state, id) {
  const caller = byCaller(missedRows(state, 0)).find((one) => one.calls.some((row) => row.id === id));
  return html`<h2><${Tel} num=${found.caller} /> ${nameOf(found.caller, found.callerName)}</h2>
    <p>${at(found.startedAt)} – ${at(found.endedAt)}
      ${found.queues.length > 0 && ` · ${words.via} ${found.queues.join(", ")}`}${found.did && ` · DID ${found.did}`}
      ${found.callee && ` · ${words.to} ${found.callee} ${found.calleeName}`}</p>
    <ul class="attempts">${caller?.calls.map((row) => html`<li key=${row.id}>${
      caller.calls.length > 1 && html`<b>${clockTime(row.ended)}</b> ${row.to} · `
    }<${Outcome} row=${row} /> · ${words.waited} ${lasting(row.waited)}</li>`)}</ul>`;
}

function agent(ext, state, id) {
  const row = agentRows(state, true).find((one) => one.num === id);
  return html`<h2>${ext.num} ${fullName(ext)}</h2>
    <p><${State} of=${row.state} word=${stateWord(row)} /> ${running(row.since)}</p>
    <p>${words.queues}: ${ext.queues.join(", ") || "–"} · ${words.profiles[ext.fwdName] ?? ext.fwdName}</p>
    ${row.stats && html`<p>${words.today}: ${words.agentDay(row.stats, lasting(1000 * (row.stats.talks.total + row.stats.placedTalks.total)))}</p>`}
    <ul>${ext.talks.map(
      (talk) => html`<li key=${talk.callID}>${doingOf(talk)} · <${Tel} num=${talk.num} /> ${nameOf(talk.num, talk.name)}${
        talk.since && html` · ${running(talk.since)}`
      }</li>`,
    )}</ul>`;
}

const doingOf = ({ activity, queue }) =>
  activity === "Talking" && queue ? words.inQueue : (words[activity.toLowerCase()] ?? activity);

const MEMBERS = [
  column("number", "num", (one) => one.num, (one) => (one.waits ? html`<${Tel} num=${one.num} />` : one.num)),
  NAME,
  column("state", "now", (one) => one.word, (one) => (one.state ? html`<${State} of=${one.state} word=${one.word} />` : "–")),
  TIME,
];

function queue(found, state, id) {
  const known = new Map(agentRows(state).map((row) => [row.num, row]));
  const day = state.get("queuestats")?.get(id);
  const waiting = found.waiting.map(({ callID, num, name, since }) => {
    return { id: callID, num, name: nameOf(num, name), since, state: "waiting", word: words.inQueue, waits: true };
  });
  const agents = [...found.agents].sort(byNumber).map(({ num, name }) => {
    const row = known.get(num);
    return row ? { ...row, id: num, word: stateWord(row) } : { id: num, num, name, word: "–" };
  });
  const counts = tally(agents.filter((row) => row.state));
  return html`<h2>${found.num} ${found.name}</h2>
    ${day && html`<p>${words.today}: ${words.queueDay(day, average(day.waits), average(day.talks))}</p>`}
    <${Table} name="members" columns=${MEMBERS} rows=${[...waiting, ...agents]} kept=${false} totals=${[
      html`<${Total}>${words.waiting} <b>${waiting.length}</b><//>`,
      ...STATES.map((one) => html`<${Total} key=${one}>${words.states[one]} <b>${counts[one]}</b><//>`),
    ]} />`;
}

const average = ({ average: seconds }) => (seconds === null ? "–" : lasting(1000 * seconds));
