/** The languages that there are words for, a file each; a page loads its own alone. */

export const LANGUAGES = {
  en: () => import("./words-en.js"),
  ru: () => import("./words-ru.js"),
  de: () => import("./words-de.js"),
  fr: () => import("./words-fr.js"),
  es: () => import("./words-es.js"),
  pl: () => import("./words-pl.js"),
};
