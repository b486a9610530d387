import { h, render } from "preact";
import { enter } from "./access.js";
import { App } from "./app.js";
import { showAlarms } from "./badge.js";
import { listen } from "./keys.js";
import { pages } from "./stage.js";
import { page, paused, kiosk, settings, show, view } from "./store.js";

document.documentElement.lang = settings.lang;
document.documentElement.classList.add(kiosk ? "tv" : "desk");

if (kiosk) {
  setInterval(turn, settings.page * 1_000);
  keepAwake();
  document.addEventListener("visibilitychange", keepAwake);
}
if (location.search) {
  document.querySelector("link[rel=manifest]").href += // the installed app opens with them
    `&settings=${encodeURIComponent(location.search.slice(1))}`;
}
showAlarms();
listen();
enter();
render(h(App), document.getElementById("wall"));

/** TV mode: the next page, then the next view. */
function turn() {
  if (paused.value) return;
  if (page.value + 1 < pages.value) return page.value++;
  const at = settings.views.indexOf(view.value);
  show(settings.views[(at + 1) % settings.views.length]);
}

/** Keep the screen on; for encrypted pages, until hidden. */
function keepAwake() {
  if (document.visibilityState === "visible") navigator.wakeLock?.request("screen").catch(() => {});
}
