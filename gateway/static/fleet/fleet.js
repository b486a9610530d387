/** The wall of many PBXs: a tile each, the worst first. */

import { computed } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Access, Asking, offered } from "../wall/access.js";
import { Steady } from "../wall/levels.js";
import { ems } from "../wall/fit.js";
import { Empty, Glyph, html, Kpi, lastingSince, Sign, Timer } from "../wall/parts.js";
import { pages, rem, Strip, Tiles, unseen } from "../wall/stage.js";
import {
  clock,
  connection,
  find,
  hello,
  lag,
  now,
  page,
  settings,
  shown,
  size,
  staleness,
  toggleTheme,
  words,
} from "../wall/store.js";
import { duration, timeOfDay } from "../wall/times.js";
import { levels, totals, worstFirst } from "./order.js";
import { WORDS } from "./words.js";

/** The words that only this page has. */
export const said = WORDS[settings.lang];

/** The roomiest first. A desk of 1920 x 1080 has room for 200 of the least; a TV's are read from afar. */
const TILES = [
  { w: 14, h: 8.6, name: "wide" },
  { ...(settings.kiosk ? { w: 11.5, h: 5.8 } : { w: 9, h: 5.6 }), name: "brief", phone: true, fills: true },
  { ...(settings.kiosk ? { w: 7.2, h: 3.3 } : { w: 5, h: 2.7 }), name: "tiny", fills: true },
];
const TAIL = 4; // characters of a name that are never cut
const steady = new Steady();

const rows = computed(() => {
  const pbxs = [...(shown().get("pbxs")?.values() ?? [])];
  const judged = pbxs.map((pbx) => {
    const found = levels(pbx, settings.thresholds, now.value);
    return { pbx, found, level: steady.level(pbx.name, found.all, now.value) };
  });
  return judged.sort(worstFirst);
});

/** How many PBXs have an alarm. */
export const alarming = computed(() => rows.value.filter(({ level }) => level === 2).length);

export function Fleet() {
  const { status } = connection.value;
  if (offered.value) return html`<${Asking} />`;
  if (status === "keyless" || status === "refused") return html`<${Access} />`;
  const stale = staleness.value;
  return html`<div class=${`wall fleet ${stale ? "stale" : ""}`}>
    <${Bar} stale=${stale} />
    ${
      stale
        ? html`<aside class="banner gateway" aria-label=${words.state}><p role="timer" aria-live="off">${words.gatewayAway(
            duration(clock.value - stale.since, words.units),
          )}</p></aside>`
        : null
    }
    <${Stage} />
    ${settings.kiosk ? html`<${Footer} />` : null}
  </div>`;
}

function Bar({ stale }) {
  return html`<header class="bar">
    <h1>${settings.title || said.pbxs}</h1>
    ${
      settings.kiosk
        ? null
        : html`<label class="search"><span class="hidden">${said.filter}</span><input type="search" value=${find.value}
            placeholder=${said.filter} autocomplete="off" spellcheck=${false}
            onInput=${(event) => (find.value = event.target.value)} /></label>`
    }
    <p class="hidden" role="status">${alarming.value ? said.troubled(alarming.value) : ""}</p>
    ${
      stale || !hello.value
        ? html`<span class="fresh old">${stale ? "" : words.connecting}</span>`
        : html`<span class="fresh live"><i></i>${words.live} · ${words.seconds((lag.value ?? 0) / 1000)}</span>`
    }
    <time class="clock">${timeOfDay(clock.value)}</time>
    ${
      settings.kiosk
        ? null
        : html`<div class="tools"><button type="button" aria-label=${words.theme} title=${words.theme}
            onClick=${toggleTheme}><${Glyph} of="theme" /></button></div>`
    }
  </header>`;
}

function Stage() {
  const stage = useRef(null);
  useEffect(() => {
    const observer = new ResizeObserver(([{ contentRect }]) => {
      const next = { w: contentRect.width / rem(), h: contentRect.height / rem() };
      if (next.w !== size.value.w || next.h !== size.value.h) size.value = next;
    });
    observer.observe(stage.current);
    return () => observer.disconnect();
  }, []);
  const wanted = find.value.trim().toLowerCase();
  const here = rows.value.filter(({ pbx }) => pbx.name.includes(wanted));
  const empty = !hello.value ? words.connecting : rows.value.length ? words.nothingFound : said.none;
  return html`<main class="stage" ref=${stage}>
    <${Totals} />
    ${here.length ? null : html`<${Empty} text=${empty} />`}
    <${Tiles} name="pbxs" items=${here} tiles=${TILES}
      draw=${(row, tile) => html`<${Tile} key=${row.pbx.name} row=${row} tile=${tile} />`} />
  </main>`;
}

function Totals() {
  const sums = totals(rows.value.map(({ pbx }) => pbx));
  const longest = sums.since ? html`<${Timer} since=${sums.since} />` : words.nobody;
  return html`<${Strip} label=${said.pbxs} items=${[
    html`<${Kpi} value=${sums.count} label=${said.pbxs} digits=${3} />`,
    html`<${Kpi} value=${sums.away} label=${said.away} level=${sums.away ? 2 : 0} digits=${3} />`,
    html`<${Kpi} value=${sums.waiting} label=${words.waiting} digits=${3} />`,
    html`<${Kpi} value=${longest} label=${words.longest} digits=${5} />`,
    html`<${Kpi} value=${sums.calls} label=${words.callsNow} digits=${4} />`,
  ]} />`;
}

/** The address of a PBX's own wall, with what this page was told of language and looks. */
function wallOf(name) {
  const given = new URLSearchParams(location.search);
  const kept = ["lang", "theme", "kiosk"].filter((one) => given.has(one)).map((one) => [one, given.get(one)]);
  return `wall?${new URLSearchParams([["pbx", name], ...kept])}`;
}

function Tile({ row: { pbx, found, level }, tile }) {
  const away = found.connection > 0;
  const Body = away ? Away : tile.name === "tiny" ? Brief : Figures;
  return html`<article class=${`tile pbx ${tile.name ?? ""} level${level}`}>
    <header><h2><a class="open" href=${wallOf(pbx.name)} title=${pbx.name}
      aria-label=${`${pbx.name}: ${said.opens}`}><${Name} of=${pbx.name} /></a></h2>${
      tile.name === "tiny" ? null : html`<${Sign} level=${level} />`
    }</header>
    <${Body} pbx=${pbx} found=${found} size=${tile.name} />
  </article>`;
}

/** A name that is cut in its middle, as its end tells it from others. */
function Name({ of }) {
  const tail = of.length > 2 * TAIL ? TAIL : 0;
  return html`<span class="name">${of.slice(0, of.length - tail)}</span><span class="tail">${of.slice(of.length - tail)}</span>`;
}

/** The room that numbers need, in em, by which a TV draws them as large as they fit. */
function need(...texts) {
  return { "--need": texts.reduce((sum, text) => sum + ems(text) + 0.5, 0) };
}

/** Why it is not connected, and for how long. */
function Away({ pbx, size }) {
  const of = pbx.connection === "connecting" ? "warn" : "alarm";
  const word = size === "tiny" ? "" : said.connections[pbx.connection];
  return html`<div class="away" style=${need("OO", word, lastingSince(pbx.since))}><span class=${`state ${of}`}><${Glyph} of=${of} /><span class=${size === "tiny" ? "hidden" : "word"}>${
    said.connections[pbx.connection]
  }</span></span>${pbx.since ? html`<${Timer} since=${pbx.since} />` : null}</div>
  ${size === "wide" && pbx.reason ? html`<small class="reason" title=${pbx.reason}>${pbx.reason}</small>` : null}`;
}

/** The least: who waits, and for how long; else the calls. */
function Brief({ pbx, found }) {
  if (!pbx.waiting)
    return html`<div class="away" style=${need("OO", pbx.calls, "OO")}><span><${Glyph} of="talking" /> ${pbx.calls ?? words.nobody}</span><${Sign} level=${found.all} /></div>`;
  return html`<div class="away" style=${need("OO", pbx.waiting, lastingSince(pbx.waitingSince))}><b class=${`state waiting level${found.waiting}`}><${Glyph} of="waiting" /> ${pbx.waiting}</b>
    <${Timer} since=${pbx.waitingSince} class=${`state level${found.wait}`} /></div>`;
}

function Figures({ pbx, found, size }) {
  const limit = size === "wide" && pbx.licenceLimit ? html`<small> / ${pbx.licenceLimit}</small>` : null;
  const calls = html`${pbx.calls ?? words.nobody}${limit}`;
  const timer = pbx.waitingSince ? html`<${Timer} since=${pbx.waitingSince} />` : words.nobody;
  const texts = [pbx.waiting ?? words.nobody, lastingSince(pbx.waitingSince), pbx.calls ?? words.nobody, limit ? "1234" : ""];
  return html`<div class="figures" style=${need(...texts)}>
    <${Figure} value=${pbx.waiting ?? words.nobody} label=${words.waitingBrief} level=${found.waiting} />
    <${Figure} value=${timer} label=${words.longestBrief} level=${found.wait} />
    <${Figure} value=${calls} label=${words.calls} level=${found.licence} />
  </div>
  ${
    size === "wide"
      ? html`<footer><span class=${found.lines ? "state alarm" : ""}>${found.lines ? html`<${Glyph} of="warn" />` : null}${
          words.lines
        } ${pbx.linesUsed ?? words.nobody}${pbx.linesTotal ? ` / ${pbx.linesTotal}` : ""}</span>
        <span class="version">${pbx.version}</span></footer>`
      : null
  }`;
}

function Figure({ value, label, level }) {
  return html`<div class=${`figure level${level}`}><span class="value">${value}</span><span class="label">${label}</span></div>`;
}

function Footer() {
  const count = pages.value;
  const at = Math.min(page.value, count - 1);
  const dots = Array.from({ length: count }, (_, index) => html`<i key=${index} class=${index === at ? "on" : ""}></i>`);
  return html`<footer>${
    count < 2 ? null : html`<p class="dots" role="img" aria-label=${words.page(at + 1, count)}>${dots}</p>`
  }${unseen.value ? html`<p class="unseen">${words.more(unseen.value)}</p>` : null}</footer>`;
}
