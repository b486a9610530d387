/** Alarms outside the page: the window's title, its icon, the installed app's badge. */

import { effect } from "@preact/signals";
import { alarmCount } from "./announcer.js";
import { view, words } from "./store.js";

const icon = document.querySelector("link[rel=icon]");
const calm = icon.href;

/** Keep all of them right from now on. */
export function showAlarms() {
  effect(() => {
    const count = alarmCount.value;
    document.title = `${count ? `▲ ${count} · ` : ""}${words[view.value]} · callmon`;
    icon.href = count ? plate(count > 9 ? "9+" : count) : calm;
    navigator.setAppBadge?.(count).catch(() => {}); // 0 takes it away; not every system has badges
  });
}

/** The picture of an alarm's red plate with a text. */
function plate(text) {
  return `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32">
    <path fill="#c62a12" d="M0 0h32v32H0z"/>
    <text x="16" y="25" fill="#fff" style="font:bold 24px sans-serif" text-anchor="middle">${text}</text></svg>`)}`;
}
