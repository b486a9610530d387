/** The keyboard. */

import { VIEWS } from "./settings.js";
import { gesture, toggleSound } from "./sound.js";
import { detail, find, show, singleKeys, togglePause, toggleTheme, wanted } from "./store.js";

/** A key's letter on English and on Russian keyboards. */
const LETTERS = [
  ["pз", togglePause],
  ["tе", toggleTheme],
  ["mь", toggleSound],
  ["fа", fullScreen],
];
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Heed the keyboard from now on. */
export function listen() {
  addEventListener("pointerdown", gesture);
  addEventListener("keydown", (event) => {
    gesture();
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const typing = event.target instanceof HTMLInputElement;
    if (typing ? inField(event) : onPage(event)) event.preventDefault();
  });
}

function inField(event) {
  if (event.target.id !== "find" || !["Escape", "Enter", "ArrowDown"].includes(event.key)) return false;
  if (event.key === "Escape") find.value = "";
  event.target.blur();
  if (event.key !== "Escape") items()[0]?.focus();
  return true;
}

function onPage({ key, code }) {
  if (document.querySelector("dialog[open]")) return false; // it closes itself on Escape
  if (key in ARROWS) return move(...ARROWS[key]);
  if (key === "Escape") return done((find.value = wanted.value = ""));
  if (!singleKeys.value) return false;
  if (VIEWS[key - 1]) return done(show(VIEWS[key - 1]));
  if (key === "/" || (code === "Slash" && key === ".")) return done(document.getElementById("find")?.focus());
  if (key === "?" || (code === "Slash" && key === ",")) return done((detail.value = { kind: "help" }));
  const act = LETTERS.find(([letters]) => letters.includes(key.toLowerCase()))?.[1];
  return act ? done(act()) : false;
}

const done = () => true;

/** Show the page on the full screen, or no more. */
export function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen().catch(() => {});
}

const items = () => [...document.querySelectorAll("[data-item] .open")];

/** Focus the next item in that direction, the nearest one first. */
function move(right, down) {
  const all = items();
  const list = all[0]?.closest(".tiles, tbody") ?? {};
  const from = document.activeElement;
  if (!all.includes(from)) return done((all[list.last ?? 0] ?? all.at(-1))?.focus());
  const at = middle(from);
  const far = (item) => {
    const [x, y] = middle(item).map((one, axis) => one - at[axis]);
    const along = x * right + y * down;
    return along > 1 ? along + 3 * Math.abs(x * down + y * right) : Infinity;
  };
  const next = all.reduce((best, item) => (far(item) < far(best) ? item : best), from);
  list.last = all.indexOf(next);
  next.focus();
  next.closest("[data-item]").scrollIntoView({ block: "nearest" });
  return true;
}

function middle(item) {
  const { left, right, top, bottom } = item.closest("[data-item]").getBoundingClientRect();
  return [(left + right) / 2, (top + bottom) / 2];
}
