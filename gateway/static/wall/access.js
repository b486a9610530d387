/** Where the key comes from: the address's fragment, then this browser's memory, then whoever stands before it. */

import { html } from "./parts.js";
import { connection, remember, remembered, watch, words } from "./store.js";

/** Take the key out of the address, keep it, and watch with it; also when another one is put there later. */
export function enter() {
  addEventListener("hashchange", () => {
    if (location.hash.includes("key=")) take();
  });
  take();
}

function take() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
  if (given) remember("key", given);
  const key = given ?? remembered("key");
  if (key) watch(key);
  else connection.value = { status: "keyless", since: Date.now() };
}

/** The page in place of the wall: why it does not watch, and how to go on. */
export function Access() {
  const { status, code, reason } = connection.value;
  const wrong = [401, 4001].includes(code);
  const use = (event) => {
    event.preventDefault();
    const key = new FormData(event.target).get("key").trim();
    if (!key) return;
    remember("key", key);
    watch(key);
  };
  return html`<main class="access"><div>
    <h1>${status === "keyless" ? words.keyWanted : words.refused}</h1>
    ${
      status === "refused"
        ? html`<p role="alert" class="why">${wrong ? words.keyWrong : words.notAllowed}
      ${reason ? html`<small>${reason} (${code})</small>` : null}</p>`
        : null
    }
    <form onSubmit=${use}>
      <label>${words.keyLabel} <input name="key" type="password" autocomplete="off" required /></label>
      <button type="submit">${words.keyUse}</button>
    </form>
    <p class="hint">${words.keyHint}</p>
  </div></main>`;
}
