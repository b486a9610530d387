/** The queues: who waits how long, how the agents are, and the day. */

import { Empty, Glyph, html, Kpi, Opener, Party, Timer } from "./parts.js";
import { queueLevels, totals } from "./alarms.js";
import { agentRows, STATES, tally } from "./people.js";
import { matches, queueRows } from "./rows.js";
import { Strip, Tiles } from "./stage.js";
import { limits } from "./settings.js";
import { detail, find, now, settings, shown, words } from "./store.js";
import { duration, instant } from "./times.js";

const WIDE = 24; // rem from which on the callers stand beside the numbers
const HOUR = 3_600_000;

export function Queues() {
  const state = shown();
  const all = queueRows(state);
  const rows = all.filter((row) => matches([row.num, row.name], find.value));
  if (!rows.length) return html`<${Empty} text=${all.length ? words.nothingFound : words.noQueues} />`;
  return html`<${Totals} rows=${all} state=${state} />
    <${Tiles} name="queues" items=${rows} tile=${tile(rows)} draw=${(row, size, room) =>
      html`<${Queue} key=${row.num} row=${row} room=${room} brief=${size.brief && room.h !== null && room.h < 8.2} />`} />`;
}

/** What a tile needs; two columns of callers and figures are as high as the numbers alone. */
function tile(rows) {
  return [
    { w: WIDE, h: 9.3 },
    { w: 14, h: rows.some((row) => row.stats) ? 13.2 : 10.8 },
    { w: 12, h: 5.9, brief: true },
  ];
}

/** How many callers have room. */
function callersIn({ w, h }, day) {
  if (h === null) return 3;
  const taken = w >= WIDE ? 2.9 + (day ? 2.4 : 0) : 9.3 + (day ? 2.4 : 0);
  return Math.max(0, Math.floor((h - taken) / 1.4));
}

function Totals({ rows, state }) {
  const agents = tally(agentRows(state));
  const sum = totals(rows, now.value, agents.free);
  const { day, levels } = sum;
  const goal = limits(settings.thresholds, "sl", "")[0];
  const items = [
    html`<${Kpi} value=${sum.waiting} label=${words.waiting} level=${levels.waiting} digits=${2} />`,
    html`<${Kpi} value=${sum.oldest ? html`<${Timer} since=${sum.oldest} />` : "0:00"} label=${words.longest}
      level=${levels.wait} digits=${3.4} />`,
    html`<${Kpi} value=${agents.free} label=${words.agentsFree} of="free" level=${levels.free} digits=${2} />`,
    ...(day
      ? [
          html`<${Kpi} value=${day.answered} unit=${`/ ${day.offered}`} label=${words.answered} title=${words.today} />`,
          html`<${Kpi} value=${day.abandoned} label=${words.abandoned} title=${words.today} />`,
          html`<${Kpi} value=${day.level === null ? "–" : Math.round(day.level)} unit=${goal === null ? "%" : `/ ${goal}\u00a0%`}
            label=${words.serviceLevel} level=${levels.sl} title=${`${words.today}; ${words.target} ${goal ?? "–"}\u00a0%`} />`,
        ]
      : [
          html`<${Kpi} value=${agents.talking} label=${words.states.talking} of="talking" />`,
          html`<${Kpi} value=${state.get("calls")?.size ?? 0} label=${words.callsNow} />`,
        ]),
  ];
  return html`<${Strip} items=${items} label=${words.total} />`;
}

function Queue({ row, room, brief }) {
  const levels = queueLevels(row, now.value);
  const worst = Math.max(levels.waiting, levels.wait, levels.sl, levels.free === 2 ? 2 : 0);
  const { num, name, waiting, oldest, stats } = row;
  const wide = room.w >= WIDE;
  const hours = isLong(oldest) ? "hours" : "";
  const long = waiting.length > 9 && now.value - instant(oldest) >= HOUR / 6;
  const day = stats && !brief && (wide || room.h === null || room.h >= 11.6);
  const target = `${words.target} ${duration(row.target * 1000)}`;
  const tight = stats && !brief && !day; // the level is in the target's place, the target below the timer that it is for
  return html`<article class=${`tile queue level${worst} ${brief ? "brief" : wide ? "wide" : ""}`}
      data-item=${`queue:${num}`} onClick=${() => (detail.value = { kind: "queue", id: num })} aria-label=${`${num} ${name}`}>
    <header><${Opener} class="num" says=${`${num} ${name}: ${waiting.length} ${words.waiting}`}>${num}<//><h2 class="name" title=${name}>${name}</h2>
      ${
        brief
          ? html`<span class=${`state free level${levels.free}`}><${Glyph} of="free" /><b>${row.agents.free}</b></span>`
          : tight
            ? typeof stats.serviceLevel === "number" && html`<b class=${`percent level${levels.sl}`} title=${words.serviceLevel}>${Math.round(stats.serviceLevel)}\u00a0%</b>`
            : html`<small class="target">${target}</small>`
      }
      ${worst ? html`<${Glyph} of=${worst === 2 ? "alarm" : "warn"} />` : null}</header>
    <div class="numbers">
      <div class=${`figures ${long ? "long" : ""}`}>
        <div class=${`figure level${levels.waiting}`}><span class="value">${waiting.length}</span>
          <span class="label">${words.waiting}</span></div>
        <div class=${`figure level${levels.wait}`}><span class=${`value ${hours}`}>${
          oldest ? html`<${Timer} since=${oldest} />` : "0:00"
        }</span>
          <span class="label">${brief || tight ? target : words.longest}</span></div>
      </div>
      ${brief ? null : html`<${Counts} agents=${row.agents} level=${levels.free} />`}
    </div>
    ${
      brief
        ? null
        : html`<div class="people">
      <${Waiting} callers=${waiting} lines=${callersIn(room, day)} />
      ${day ? html`<${Day} row=${row} level=${levels.sl} />` : null}
    </div>`
    }
  </article>`;
}

function Counts({ agents, level }) {
  const many = STATES.map((state) => agents[state]).join("").length + (level ? 1 : 0) > STATES.length + 1;
  return html`<ul class=${`counts ${many ? "many" : ""}`}>${STATES.map(
    (state) => html`<li key=${state} class=${`state ${state} ${state === "free" ? `level${level}` : ""}`}
        title=${words.states[state]}><${Glyph} of=${state} /><span>${agents[state]}</span>${
          state === "free" && level ? html`<${Glyph} of=${level === 2 ? "alarm" : "warn"} />` : null
        }<span class="hidden">${words.states[state]}</span></li>`,
  )}</ul>`;
}

/** Whether its timer needs room for hours. */
function isLong(since) {
  return since !== null && now.value - instant(since) >= HOUR;
}

function Day({ row: { num, stats }, level }) {
  const { answered, offered, abandoned, serviceLevel } = stats;
  const goal = limits(settings.thresholds, "sl", num)[0];
  return html`<dl class=${`day ${offered > 999 ? "many" : ""}`}>
    <div title=${words.answered}><dt>${words.day.answered}</dt><dd>${answered}<small> / ${offered}</small></dd></div>
    <div title=${words.abandoned}><dt>${words.day.abandoned}</dt><dd>${abandoned}</dd></div>
    <div class=${`level${level}`} title=${`${words.serviceLevel}; ${words.target} ${goal ?? "–"}\u00a0%`}>
      <dt>${words.day.level}</dt><dd>${typeof serviceLevel === "number" ? Math.round(serviceLevel) : "–"}${
        goal === null ? null : html`<small> / ${goal}</small>`
      }</dd></div>
  </dl>`;
}

function Waiting({ callers, lines }) {
  if (lines < 1) return null;
  const sorted = [...callers].sort((one, other) => instant(one.since) - instant(other.since));
  const few = sorted.length > lines ? sorted.slice(0, Math.max(1, lines - 1)) : sorted;
  const rest = sorted.length - few.length;
  return html`<ol class="callers">
    ${few.map(
      (caller) => html`<li key=${caller.callID}><${Party} num=${caller.num} name=${caller.name} outside=${true} />
      <${Timer} since=${caller.since} /></li>`,
    )}
    ${rest > 0 && lines > 1 ? html`<li class="rest">${words.more(rest)}</li>` : null}
    ${callers.length ? null : html`<li class="rest">${words.nobodyWaits}</li>`}
  </ol>`;
}
