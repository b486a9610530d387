import { effect } from "@preact/signals";
import { h, render } from "preact";
import { enter } from "./access.js";
import { alarmCount } from "./announcer.js";
import { App } from "./app.js";
import { listen } from "./keys.js";
import { pages } from "./stage.js";
import { page, paused, settings, show, view, words } from "./store.js";

document.documentElement.lang = settings.lang;
document.documentElement.classList.add(settings.kiosk ? "tv" : "desk");
effect(() => {
  const alarms = alarmCount.value;
  document.title = `${alarms ? `▲ ${alarms} · ` : ""}${words[view.value]} · callmon`;
});

if (settings.kiosk) setInterval(turn, settings.page * 1_000);
listen();
enter();
render(h(App), document.getElementById("wall"));

/** TV mode: the next page, then the next view. */
function turn() {
  if (paused.value) return;
  if (page.value + 1 < pages.value) {
    page.value++;
    return;
  }
  const at = settings.views.indexOf(view.value);
  show(settings.views[(at + 1) % settings.views.length]);
}
