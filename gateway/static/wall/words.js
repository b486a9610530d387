/** The languages that there are words for; a page loads its own alone. */

export const LANGUAGES = { en: () => import("./words-en.js"), ru: () => import("./words-ru.js") };
