/** Alarms outside the page: title, icon, the app's badge. */

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
    navigator.setAppBadge?.(count).catch(() => {}); // 0 takes it away
  });
}

/** The picture of an alarm's red plate with a text. */
function plate(text) {
  const canvas = Object.assign(document.createElement("canvas"), { width: 32, height: 32 });
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#c62a12";
  pen.fillRect(0, 0, 32, 32);
  Object.assign(pen, { fillStyle: "#fff", font: "bold 24px sans-serif", textAlign: "center" });
  pen.fillText(text, 16, 25);
  return canvas.toDataURL();
}
