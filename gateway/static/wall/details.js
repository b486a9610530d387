/** What opens over the wall: a call's legs, an agent, a queue, the keys. */

import { useLayoutEffect, useRef } from "preact/hooks";
import { stateWord } from "./agents.js";
import { AlarmList } from "./announcer.js";
import { Outcome } from "./calls.js";
import { html, nameOf, State, Tel, Timer } from "./parts.js";
import { agentRows, fullName } from "./people.js";
import { missedRows } from "./rows.js";
import { detail, settings, shown, singleKeys, toggleKeys, words, zone } from "./store.js";
import { duration, timeOfDay } from "./times.js";

export function Details() {
  const dialog = useRef(null);
  const open = detail.value !== null;
  useLayoutEffect(() => {
    if (open && !dialog.current.open) dialog.current.showModal();
    if (!open && dialog.current.open) dialog.current.close();
  }, [detail.value]);
  useLayoutEffect(() => {
    if (open && !history.state?.over) history.pushState({ over: true }, "");
  }, [open]);
  // The browser tells of a closing a frame later; whoever is quick has opened something else by then.
  const closed = () => {
    if (!dialog.current.open) detail.value = null;
  };
  return html`<dialog ref=${dialog} aria-label=${words.details} onClose=${closed}
      onClick=${(event) => event.target === dialog.current && dialog.current.close()}>
    ${
      open
        ? html`<div class="inside">${content(detail.value)}
      <button type="button" class="close" autofocus onClick=${() => (detail.value = null)}>${words.close}</button></div>`
        : null
    }
  </dialog>`;
}

function content({ kind, id }) {
  const state = shown();
  if (kind === "help")
    return html`<h2>${words.help}</h2><dl class="keys">
    ${words.keys.map(([key, what]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${what}</dd></div>`)}</dl>
    <p><label><input type="checkbox" checked=${singleKeys.value} onChange=${toggleKeys} /> ${words.singleKeys}</label></p>
    <p><a href=${otherMode()}>${settings.kiosk ? words.deskMode : words.tvMode}</a></p>`;
  if (kind === "alarms") return html`<${AlarmList} />`;
  if (kind === "call") return call(state.get("calls")?.get(id));
  if (kind === "ended") return ended(state, id);
  return kind === "agent" ? agent(state, id) : queue(state, id);
}

/** The address of this view in TV mode, or out of it. */
function otherMode() {
  const address = new URL(location.href);
  if (settings.kiosk) address.searchParams.delete("kiosk");
  else address.searchParams.set("kiosk", "1");
  return address.href;
}

function call(found) {
  if (!found) return gone();
  return html`<h2>${words.details} · ${found.callID}</h2>
    <p>${words.started} ${timeOfDay(Date.parse(found.startedAt), zone.value)} · <${Timer} since=${found.startedAt} />
      ${found.did ? ` · DID ${found.did}` : ""}</p>
    <table class="rows legs"><thead><tr><th>${words.number}</th><th>${words.name}</th><th>${words.party}</th>
      <th>${words.status}</th><th class="right">${words.time}</th></tr></thead>
    <tbody>${found.AConnList.map(
      (leg) => html`<tr key=${`${leg.dnNum}/${leg.legId}/${leg.externalParty}`}>
      <td class="num">${leg.dnNum}</td><td class="who"><span class="name">${leg.name}</span></td>
      <td class="other"><span class="name">${leg.hidden || leg.externalParty ? html`<${Tel} num=${leg.externalParty} />` : null} ${nameOf(leg.externalParty, leg.partyName)}</span></td>
      <td class="now">${leg.listening ? words.listens : (words.legs[leg.status] ?? leg.status)}</td><td class="right">${leg.since ? html`<${Timer} since=${leg.since} />` : ""}</td></tr>`,
    )}
    </tbody></table>`;
}

function ended(state, id) {
  const found = state.get("ended")?.get(id);
  if (!found) return gone();
  const row = missedRows(state, 0).find((one) => one.id === id);
  return html`<h2><${Tel} num=${found.caller} /> ${nameOf(found.caller, found.callerName)}</h2>
    <p>${timeOfDay(Date.parse(found.startedAt), zone.value)} – ${timeOfDay(Date.parse(found.endedAt), zone.value)}
      ${found.queues.length ? ` · ${words.via} ${found.queues.join(", ")}` : ""}${found.did ? ` · DID ${found.did}` : ""}
      ${found.callee ? ` · ${words.to} ${found.callee} ${found.calleeName}` : ""}</p>
    ${row ? html`<p><${Outcome} row=${row} /> · ${words.waited} ${duration(row.waited, words.units)}</p>` : null}`;
}

function agent(state, id) {
  const ext = state.get("extensions")?.get(id);
  if (!ext) return gone();
  const row = agentRows(state, true).find((one) => one.num === id);
  return html`<h2>${ext.num} ${fullName(ext)}</h2>
    ${
      row
        ? html`<p><${State} of=${row.state} word=${stateWord(row)} /> ${
            row.since ? html`<${Timer} since=${row.since} />` : ""
          }</p>`
        : null
    }
    <p>${words.queues}: ${ext.queues.join(", ") || "–"} · ${words.profiles[ext.fwdName] ?? ext.fwdName}</p>
    ${row?.stats ? html`<p>${words.today}: ${words.agentDay(row.stats, talked(row.stats))}</p>` : null}
    ${
      ext.talks.length
        ? html`<ul>${ext.talks.map(
            (talk) => html`<li key=${talk.callID}>${doingOf(talk)} · <${Tel} num=${talk.num} /> ${nameOf(talk.num, talk.name)}${
              talk.since ? html` · <${Timer} since=${talk.since} />` : ""
            }</li>`,
          )}</ul>`
        : null
    }`;
}

function doingOf({ activity, queue }) {
  if (activity === "Talking" && queue) return words.inQueue;
  return words[activity.toLowerCase()] ?? activity;
}

function queue(state, id) {
  const found = state.get("queues")?.get(id);
  if (!found) return gone();
  const rows = new Map(agentRows(state).map((row) => [row.num, row]));
  const day = state.get("queuestats")?.get(id);
  return html`<h2>${found.num} ${found.name}</h2>
    ${day ? html`<p>${words.today}: ${words.queueDay(day, average(day.waits), average(day.talks))}</p>` : null}
    <table class="rows members"><tbody>${found.waiting.map(
      (caller) => html`<tr key=${caller.callID}>
      <td class="num"><${Tel} num=${caller.num} /></td><td class="who"><span class="name">${nameOf(caller.num, caller.name)}</span></td>
      <td class="now"><${State} of="waiting" word=${words.inQueue} /></td>
      <td class="right"><${Timer} since=${caller.since} /></td></tr>`,
    )}
    ${found.agents.map(
      ({ num, name }) => html`<tr key=${num}><td class="num">${num}</td>
      <td class="who"><span class="name">${rows.get(num)?.name ?? name}</span></td>
      <td class="now">${rows.has(num) ? html`<${State} of=${rows.get(num).state} word=${stateWord(rows.get(num))} />` : "–"}</td>
      <td class="right">${rows.get(num)?.since ? html`<${Timer} since=${rows.get(num).since} />` : ""}</td></tr>`,
    )}
    </tbody></table>`;
}

function talked({ talks, placedTalks }) {
  return duration(1000 * (talks.total + placedTalks.total), words.units);
}

function average({ average: seconds }) {
  return seconds === null ? "–" : duration(1000 * seconds, words.units);
}

function gone() {
  return html`<h2>${words.details}</h2><p>${words.nobody}</p>`;
}
