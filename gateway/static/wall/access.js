/**
 * The key: of the address's fragment, else kept in this browser, else asked for.
 *
 * A link replaces a kept key that holds only when somebody says so.
 */

import { effect, signal } from "@preact/signals";
import { html } from "./parts.js";
import { connection, remember, remembered, watch, words } from "./store.js";

/** A key of the address that is not the kept one. */
export const offered = signal(null);

/** Take the key out of the address, keep it, watch with it. */
export function enter() {
  addEventListener("hashchange", () => {
    if (location.hash.includes("key=")) take();
  });
  take();
}

function take() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
  const kept = remembered("key");
  if (!given || !kept || given === kept) return use(given ?? kept);
  if (!watched) use(kept);
  offered.value = given;
}

let watched = null;

function use(key) {
  offered.value = null;
  if (!key) connection.value = { status: "keyless", since: Date.now() };
  else {
    watched = key;
    remember("key", key);
    watch(key);
  }
}

effect(() => {
  if (offered.value && connection.value.status === "refused") use(offered.value);
});

/** The page that asks which of two keys is to be used. */
export function Asking() {
  return html`<main class="access"><div role="alertdialog" aria-labelledby="another">
    <h1 id="another">${words.keyAnother}</h1>
    <p>${words.keyAnotherHint}</p>
    <form>
      <button type="button" class="keep" onClick=${() => (offered.value = null)}>${words.keyKeep}</button>
      <button type="button" class="take" onClick=${() => use(offered.value)}>${words.keyTake}</button>
    </form>
  </div></main>`;
}

/** The page in place of the wall: why it does not watch, and how to go on. */
export function Access() {
  const { status, code, reason } = connection.value;
  const wrong = [401, 4001].includes(code);
  const submit = (event) => {
    event.preventDefault();
    const key = new FormData(event.target).get("key").trim();
    if (key) use(key);
  };
  return html`<main class="access"><div>
    <h1>${status === "keyless" ? words.keyWanted : words.refused}</h1>
    ${
      status === "refused" &&
      html`<p role="alert" class="why">${wrong ? words.keyWrong : words.notAllowed}
        <small>${!wrong && reason} (${code})</small></p>`
    }
    <form onSubmit=${submit}>
      <label>${words.keyLabel} <input name="key" type="password" autocomplete="off" required autofocus /></label>
      <button type="submit">${words.keyUse}</button>
    </form>
    <p class="hint">${words.keyHint}</p>
  </div></main>`;
}
