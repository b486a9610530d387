/** The queues: who waits how long, how the agents are, and the day. */

import { Empty, Glyph, html, Kpi, lasting, lastingSince, Opener, opens, Party, Sign, State, Timer } from "./parts.js";
import { queueLevels, totals } from "./alarms.js";
import { agentRows, STATES, tally } from "./people.js";
import { matches, queueRows } from "./rows.js";
import { ems, shrunk } from "./fit.js";
import { Strip, Tiles } from "./stage.js";
import { limits } from "./settings.js";
import { find, now, kiosk, settings, shown, words } from "./store.js";
import { instant } from "./times.js";

const LABEL = kiosk ? 1 : 0.8125; // rem
const WIDE = 24; // rem from which on callers may stand beside the numbers
const rem = (fontSize) => ({ fontSize: `${fontSize}rem` });

export function Queues() {
  const state = shown();
  const all = queueRows(state, settings.filter);
  const rows = all.filter((row) => matches([row.num, row.name], find.value));
  if (!rows.length) return html`<${Empty} all=${all} text=${words.noQueues} />`;
  return html`<${Totals} rows=${all} state=${state} />
    <${Tiles} name="queues" items=${rows} tiles=${tile(rows)} draw=${(row, size, room) =>
      html`<${Queue} key=${row.num} row=${row} room=${room} brief=${size.brief && room.h !== null && room.h < 8.2} />`} />
    ${!kiosk && html`<${Legend} />`}`;
}

function tile(rows) {
  return [
    { w: WIDE, h: 9.3 },
    { w: 14, h: rows.some((row) => row.stats) ? 13.2 : 10.8, grows: true },
    { w: 12, h: 5.9, brief: true },
  ];
}

/** How many callers have room, below `digits` of this size. */
function callersIn(h, wide, day, digits) {
  if (h === null) return 3;
  const taken = (wide ? 3.2 : 5.4 + 1.05 * digits) + (day ? 2.2 : 1.4) + (!wide && day ? 1.6 : 0);
  return Math.max(0, Math.floor((h - taken) / 1.4));
}

/** What the signs of the agents' states mean. */
export const Legend = () => html`<p class="legend">${STATES.map((state) => html`<${State} key=${state} of=${state} word=${words.states[state]} />`)}</p>`;

function Totals({ rows, state }) {
  const agents = tally(agentRows(state));
  const { waiting, oldest, day, levels } = totals(rows, now.value, agents.free);
  const goal = limits(settings.thresholds, "sl", "")[0];
  const waits = ["calls", "waiting"];
  const items = [
    html`<${Kpi} value=${waiting} label=${words.waiting} level=${levels.waiting} digits=${2} leads=${waits} />`,
    html`<${Kpi} value=${oldest ? html`<${Timer} since=${oldest} />` : "0:00"} label=${words.longest}
      level=${levels.wait} digits=${3.4} leads=${waits} />`,
    html`<${Kpi} value=${agents.free} label=${words.agentsFree} of="free" level=${levels.free} digits=${2}
      leads=${["agents", "free"]} />`,
  ];
  if (!day)
    items.push(
      html`<${Kpi} value=${agents.talking} label=${words.states.talking} of="talking" leads=${["agents", "talking"]} />`,
      html`<${Kpi} value=${state.get("calls")?.size ?? 0} label=${words.callsNow} leads=${["calls", ""]} />`,
    );
  else
    items.push(
      html`<${Kpi} value=${day.answered} unit=${`/ ${day.offered}`} label=${words.answeredQueues} title=${words.today} />`,
      html`<${Kpi} value=${day.abandoned} label=${words.abandoned} title=${words.today} leads=${["missed", "abandonedCall"]} />`,
      html`<${Kpi} value=${percent(day.level)} unit="%" label=${words.levelToday(goal)} level=${levels.sl}
        title=${words.serviceLevel} beside=${
          day.hour &&
          html`<span class=${`beside level${levels.hour}`} title=${words.lastHour}><${Percent} of=${day.hour.serviceLevel}
            level=${levels.hour} /><small>${words.day.hour}</small></span>`
        } />`,
    );
  return html`<${Strip} items=${items} label=${words.total} />`;
}

function Queue({ row, room, brief }) {
  const levels = queueLevels(row, now.value);
  const worst = Math.max(levels.waiting, levels.wait, levels.free); // now, not of the day
  const { num, name, waiting, oldest, stats } = row;
  const wide = room.w >= WIDE && !(room.h > 15);
  const more = brief ? Math.min(0, room.h - 6.4) : wide ? Number(room.h > 12) : Math.max(0, Math.min(4, (room.h - 16) / 2)); // rem
  const day = stats && !brief && (wide || room.h === null || room.h >= 11.6);
  const within = lasting(row.target * 1000);
  const target = `${words.target} ${within}`;
  const part = (share) => (wide ? share * (room.w - 2.6) : room.w - 1.9); // of the tile, in rem
  const tight = stats && !brief && !day;
  const share = Math.min(0.6, Math.max(0.5, needOf(waiting) / (room.w - 2.6))); // of the callers
  const left = part(1 - share);
  const wait = lastingSince(oldest);
  const longest = [words.longest, words.longestBrief].find((one) => LABEL * ems(words.waiting + one) + 0.6 <= left);
  const labels = longest ? [words.waiting, longest] : [words.waitingBrief, words.longestBrief];
  const digits = figureSize(more, left, [waiting.length, wait], [levels.waiting, levels.wait], labels);
  const goal = stats ? words.goal(limits(settings.thresholds, "sl", num)[0], within) : target;
  const space = room.w - (tight ? 6.7 : levels.free ? 6.5 : 5.3);
  const high = !wide && !brief && !tight && room.zoom > (kiosk ? 1.4 : 1.2) && ems(`${num} ${name}`) + 0.5 > room.w - 1.9;
  const bare = (brief || tight) && ems(`${num} ${name}`) > space && ems(name) <= space; // without its number
  const fits = ems(`${num} ${name}`) + 0.75 * ems(goal) + 3 <= room.w; // else without its first word
  return html`<article class=${`tile queue level${worst} ${brief ? "brief" : wide ? "wide" : ""}`}
      style=${{ "--share": `${share / (1 - share)}fr` }} ...${opens("queue", num)} aria-label=${`${num} ${name}`}>
    <header class=${high ? "high" : brief || tight ? "" : "roomy"}><div class="title"><${Opener} class=${bare ? "hidden" : "num"}
        says=${`${num} ${name}: ${waiting.length} ${words.waiting}`}>${num}<//><h2 class="name" title=${name}>${name}</h2></div>
      ${
        brief
          ? html`<${Count} of="free" count=${row.agents.free} level=${levels.free} />`
          : tight
            ? html`<span class=${`percent level${levels.sl}`} title=${words.serviceLevel}><${Percent} of=${stats.serviceLevel} level=${levels.sl} /></span>`
            : !high && html`<small class="target" title=${goal}>${fits ? goal : goal.replace(/^\S+ /, "")}</small>`
      }</header>
    <div class="numbers">
      <div class="figures" style=${rem(digits)}>
        <${Figure} level=${levels.waiting} label=${labels[0]}>${waiting.length}<//>
        <${Figure} level=${levels.wait} label=${labels[1]}>${oldest ? html`<${Timer} since=${oldest} />` : wait}<//>
      </div>
    </div>
    ${
      !brief &&
      html`<${Waiting} callers=${waiting} lines=${callersIn(room.h && room.h - high / 2, wide, day, digits)} room=${part(share)} />
    <${Bottom} row=${row} levels=${levels} day=${day} wide=${wide} room=${part(1)} />`
    }
  </article>`;
}

function Figure({ level, label, children }) {
  return html`<div class=${`figure level${level}`}><span class="value">${children}<${Sign} level=${level} /></span>
    <span class="label">${label}</span></div>`;
}

/** The size of a tile's two numbers, in rem, with whole labels below. */
function figureSize(more, room, texts, levels, labels) {
  const most = (kiosk ? 2.9 : 2.6) + more;
  const needs = texts.map((text, at) => ({
    fixed: 0.25,
    value: most * (ems(text, !!levels[at]) + 0.2 * !at),
    label: LABEL * ems(labels[at]),
  }));
  return most * shrunk(needs, room, 0.25);
}

/** The agents, and below or beside them the day, which gives way first. */
function Bottom({ row: { agents, stats }, levels, day, wide, room }) {
  const cells = !day ? [] : [
    [words.day.answered, stats.answered, ` / ${stats.offered}`, words.answered],
    [words.day.abandoned, stats.abandoned, "", words.abandoned],
    [words.day.level, percent(stats.serviceLevel), "\u00a0%", words.serviceLevel, levels.sl],
    stats.lastHour && [words.day.hour, percent(stats.lastHour.serviceLevel), "\u00a0%", words.lastHour, levels.hour],
  ].filter(Boolean);
  const measure = () => cells.map(([text, number, small, , bad]) => (
    { fixed: 0.4, value: ems(number, 1.4 * !!bad) + 0.75 * ems(small), label: 0.45 * text.length }
  ));
  let needs = measure();
  const needFor = (states) => ems(states.map((one) => agents[one]).join(""), levels.free ? 1.7 : 0) + 1.45 * states.length;
  const least = needs.reduce((sum, { fixed, value, label }) => sum + fixed + Math.max(0.77 * value, label), -0.4);
  const left = wide ? room - least : room;
  const states = kiosk && needFor(STATES) > left ? STATES.slice(0, -1) : STATES; // who is logged out gives way
  const need = needFor(states);
  const rest = room + 0.4 - (wide && Math.min(need, left));
  if (day && shrunk(needs, rest) < 0.75) {
    cells[0][2] = ""; // the offered give way
    needs = measure();
  }
  return html`<div class="bottom">
    <ul class="counts" style=${rem(Math.min(kiosk ? 1 : 0.95, left / need))}>${states.map(
      (state) => html`<li key=${state}><${Count} of=${state} count=${agents[state]} level=${state === "free" ? levels.free : 0} /></li>`,
    )}</ul>
    ${day && html`<dl class="day" style=${rem(shrunk(needs, rest))}>${cells.map(
      ([label, value, small, title, bad = 0]) => html`<div key=${label} class=${`level${bad}`} title=${title}><dt>${label}</dt>
      <dd>${value}<small>${small}</small><${Sign} level=${bad} /></dd></div>`,
    )}</dl>`}
  </div>`;
}

function Count({ of, count, level }) {
  const word = words.states[of];
  return html`<span class=${`state ${of} level${level}`} title=${word}><${Glyph} of=${of} /><b>${count}</b><${Sign}
    level=${level} /><small class="hidden">${word}</small></span>`;
}

const Percent = ({ of, level }) => html`<b>${percent(of)}\u00a0%<${Sign} level=${level} /></b>`;

/** "67", as the sign may stand small. */
const percent = (level) => (typeof level === "number" ? `${Math.round(level)}` : "–");

/** The width of the callers' numbers and waits, in em. */
function needOf(callers) {
  const needs = callers.map(({ num, since }) => ems(num || words.anonymous) + ems(lastingSince(since)));
  return Math.max(1, ...needs) + 0.4;
}

function Waiting({ callers, lines, room }) {
  if (lines < 1) return null;
  const sorted = [...callers].sort((one, other) => instant(one.since) - instant(other.since));
  const few = sorted.length > lines ? sorted.slice(0, Math.max(1, lines - 1)) : sorted;
  const rest = sorted.length - few.length;
  const size = room / needOf(few);
  if (kiosk && size < 0.96) return null;
  return html`<ol class="callers" style=${rem(Math.min(kiosk ? 1 : 0.875, size))}>
    ${few.map(
      (caller) => html`<li key=${caller.callID}><${Party} num=${caller.num} name=${caller.name} outside=${true} />
      <${Timer} since=${caller.since} /></li>`,
    )}
    ${rest > 0 && lines > 1 && html`<li class="rest">${words.more(rest)}</li>`}
    ${!callers.length && html`<li class="rest">${words.nobodyWaits}</li>`}
  </ol>`;
}
