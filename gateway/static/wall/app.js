/** The page's frame: bar, banner, the view, and what opens over it. */

import { useEffect, useRef } from "preact/hooks";
import { Agents, Everybody } from "./agents.js";
import { Announcer } from "./announcer.js";
import { Access, Asking, offered } from "./access.js";
import { Calls, Missed } from "./calls.js";
import { Details } from "./details.js";
import { fullScreen } from "./keys.js";
import { Lines } from "./lines.js";
import { clockTime, Glyph, html, lasting } from "./parts.js";
import { Legend, Queues } from "./queues.js";
import { VIEWS } from "./settings.js";
import { audible, toggleSound } from "./sound.js";
import { pages, rem, unseen } from "./stage.js";
import {
  clock, connection, detail, find, hello, lag, only, page, paused, phone, kiosk, settings, show, size, staleness,
  system, togglePause, toggleTheme, view, wanted, words,
} from "./store.js";

const SHOWN = { queues: Queues, agents: Agents, calls: Calls, missed: Missed, lines: Lines, everybody: Everybody };

export function App() {
  const { status } = connection.value;
  if (offered.value) return html`<${Asking} />`;
  if (status === "keyless" || status === "refused") return html`<${Access} />`;
  const stale = staleness.value;
  return html`<div class=${`wall ${stale && stale.kind !== "connecting" ? "stale" : ""}`}>
    <${Bar} />
    <${Banner} stale=${stale} />
    <${Problems} />
    ${!kiosk && only.value && html`<button class="only" onClick=${() => (wanted.value = "")}>${words.only(wordOf(only.value))}</button>`}
    <${Stage} />
    ${kiosk && html`<${Footer} />`}
    <${Details} />
  </div>`;
}

function Bar() {
  const name = settings.title || hello.value?.pbx || "callmon";
  return html`<header class="bar">
    <h1 title=${system.value?.fqdn}>${name}</h1>
    ${kiosk ? html`<span class="place">${[view.value, only.value].filter(Boolean).map(wordOf).join(" · ")}</span>` : html`<${Tabs} /><${Search} />`}
    <${Announcer} />
    <${Freshness} />
    <time class="clock">${system.value && clockTime(clock.value)}</time>
    ${!kiosk && html`<${Tools} />`}
  </header>`;
}

/** The word of a view, or of what it shows alone. */
const wordOf = (name) => words.states[name] ?? words[name];

function Tabs() {
  return html`<nav>${VIEWS.map(
    (name) => html`<button key=${name} onClick=${() => show(name)}
    aria-current=${view.value === name ? "page" : null}>${words[name]}</button>`,
  )}</nav>`;
}

function Search() {
  return html`<label class="search"><span class="hidden">${words.searching}</span>
    <input id="find" type="search" value=${find.value} placeholder=${phone.value ? words.searching : words.filterHint} autocomplete="off" spellcheck=${false}
      onInput=${(event) => (find.value = event.target.value)} /></label>`;
}

function Freshness() {
  const stale = staleness.value;
  if (paused.value) return html`<span class="fresh paused">${words.paused(paused.value.changes)}</span>`;
  if (stale || !system.value) return html`<span class="fresh old">${stale ? "" : words.connecting}</span>`;
  return html`<span class="fresh live"><i></i>${words.live} · ${words.seconds(lag.value / 1000)}</span>`;
}

function Tools() {
  const held = paused.value !== null;
  return html`<div class="tools">
    <${Tool} says=${words.pause} of=${held ? "resume" : "pause"} pressed=${held} onClick=${togglePause} />
    <${Tool} says=${words.theme} of="theme" onClick=${toggleTheme} />
    <${Tool} says=${words.sound} of=${audible.value ? "sound" : "silence"} pressed=${audible.value} onClick=${toggleSound} />
    <${Tool} says=${words.full} of="full" class="wide" onClick=${fullScreen} />
    <button aria-label=${words.help} title=${words.help}
      onClick=${() => (detail.value = { kind: "help" })}>?</button>
  </div>`;
}

function Tool({ says, of, pressed, class: name, onClick }) {
  return html`<button class=${name} aria-label=${says} title=${says} aria-pressed=${pressed}
    onClick=${onClick}><${Glyph} of=${of} /></button>`;
}

function Banner({ stale }) {
  if (!stale) return null;
  const { gatewayAway: gateway, busLost: bus, pbxLost: pbx } = words;
  const text = { gateway, bus, pbx }[stale.kind]?.(lasting(clock.value - stale.since)) ?? words.pbxConnecting;
  return html`<aside class=${`banner ${stale.kind}`} aria-label=${words.state}>
    <p role="timer" aria-live="off">${text}${stale.reason && html` <small>${stale.reason}</small>`}</p>
  </aside>`;
}

/** What of the address is not understood: a typo must not silence an alarm. */
function Problems() {
  if (!settings.problems.length) return null;
  return html`<aside class="banner connecting problems" aria-label=${words.address}>${settings.problems.map(
    ({ given, known }) => html`<p key=${given}>${known ? words.addressWrong(given) : words.addressUnknown(given)}</p>`,
  )}</aside>`;
}

function Stage() {
  const stage = useRef(null);
  useEffect(() => {
    const measure = () => {
      if (!stage.current) return;
      const { clientWidth, clientHeight } = stage.current;
      const next = { w: clientWidth / rem(), h: clientHeight / rem() };
      if (next.w !== size.value.w || next.h !== size.value.h) size.value = next;
    };
    const observer = new ResizeObserver(measure);
    observer.observe(stage.current);
    measure();
    return () => observer.disconnect();
  }, []);
  const Shown = SHOWN[view.value];
  const ready = connection.value.status === "live" || system.value;
  return html`<main class=${`stage ${view.value}`} ref=${stage}>
    ${ready ? html`<${Shown} />` : html`<p class="empty">${words.connecting}</p>`}</main>`;
}

function Footer() {
  const count = pages.value;
  const at = Math.min(page.value, count - 1);
  const dots = [...Array(count).keys()].map((index) => html`<i key=${index} class=${index === at && "on"}></i>`);
  return html`<footer>${view.value === "queues" && html`<${Legend} />`}
    ${count > 1 && html`<p class="dots" role="img" aria-label=${words.page(at + 1, count)}>${dots}</p>`}
    ${unseen.value > 0 && html`<p class="unseen">${words.more(unseen.value)}</p>`}</footer>`;
}
