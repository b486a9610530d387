import { effect } from "@preact/signals";
import { h, render } from "preact";
import { enter } from "../wall/access.js";
import { pages } from "../wall/stage.js";
import { page, settings } from "../wall/store.js";
import { alarming, Fleet, said } from "./fleet.js";

document.documentElement.lang = settings.lang;
document.documentElement.classList.add(settings.kiosk ? "tv" : "desk");
effect(() => {
  document.title = `${alarming.value ? `▲ ${alarming.value} · ` : ""}${said.pbxs} · callmon`;
});

if (settings.kiosk) setInterval(() => (page.value = (page.value + 1) % Math.max(1, pages.value)), settings.page * 1_000);
enter();
render(h(Fleet), document.getElementById("wall"));
