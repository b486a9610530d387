/** The languages that there are words for, a file each; a page loads its own alone. */

export const LANGUAGES = Object.fromEntries(
  ["en", "ru", "de", "fr", "es", "pl"].map((one) => [one, () => import(`./words-${one}.js`)]),
);
