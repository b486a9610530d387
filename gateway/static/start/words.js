/** The start page's words: those of its reader's language, a file each. */

const LANGUAGES = ["en", "ru", "de", "fr", "es", "pl"];
const wanted = [new URLSearchParams(location.search).get("lang"), ...navigator.languages];
export const language = wanted.map((one) => one?.slice(0, 2).toLowerCase()).find((one) => LANGUAGES.includes(one)) ?? "en";

export const words = (await import(`./words-${language}.js`)).default;

/** Say the page in its reader's language. */
export function translate() {
  document.documentElement.lang = language;
  for (const item of document.querySelectorAll("[data-say]")) item.textContent = words[item.dataset.say] ?? item.textContent;
  for (const item of document.querySelectorAll(`[data-in-${language}]`)) item.textContent = item.getAttribute(`data-in-${language}`);
  for (const [attribute, name] of [["alt", "sayAlt"], ["href", "sayHref"], ["aria-label", "sayAriaLabel"]]) {
    const selector = `[data-say-${attribute}]`;
    for (const item of document.querySelectorAll(selector)) {
      const said = words[item.dataset[name]];
      if (said) item.setAttribute(attribute, said);
    }
  }
}
