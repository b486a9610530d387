// The wallboard's logic without a browser: values in, values out.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { densest, ems, fit, initialed, pageOf, roomiest, sheets, shrunk } from "../../gateway/static/wall/fit.js";
import { level, Steady } from "../../gateway/static/wall/levels.js";
import { KINDS, limits, LISTS, parseSettings, THRESHOLDS } from "../../gateway/static/wall/settings.js";
import { duration, midnight } from "../../gateway/static/wall/times.js";
import { LANGUAGES as LOADERS } from "../../gateway/static/wall/words.js";

const LANGUAGES = {};
for (const [name, load] of Object.entries(LOADERS)) LANGUAGES[name] = (await load()).default;

test("durations read as people say them and are never negative", () => {
  for (const { units } of Object.values(LANGUAGES))
    assert.ok(ems(duration(47 * 3_600_000, units)) < 4.4, `${units.h}: a table's column cuts it off`);
  const read = (seconds) => duration(seconds * 1000);
  assert.deepEqual([-5, 0, 59, 61, 3599, 3600, 36_061].map(read), [
    "0:00",
    "0:00",
    "0:59",
    "1:01",
    "59:59",
    "1:00:00",
    "10:01:01",
  ]);
  assert.equal(read(2 * 86_400 + 3 * 3600), "2\u00a0d 3\u00a0h");
});

test("levels rise at once and fall after a while; free agents count the other way", () => {
  assert.deepEqual(
    [2, 3, 6].map((value) => level(value, [3, 6])),
    [0, 1, 2],
  );
  assert.deepEqual(
    [2, 1, 0].map((value) => level(value, [1, 0], "downTo")),
    [0, 1, 2],
  );
  assert.deepEqual(
    [80, 79.6, 79.4, 59.4].map((value) => level(value, [80, 60], "below")),
    [0, 0, 1, 2],
    "no warning stands beside an 80 %",
  );
  assert.equal(level(99, [null, null]), 0);
  const steady = new Steady(3000);
  assert.deepEqual(
    [
      [2, 0],
      [0, 1000],
      [1, 2000],
      [0, 3500],
      [1, 3600],
    ].map(([now, at]) => steady.level("x", now, at)),
    [2, 2, 2, 0, 1],
  );
});

test("tiles fill the screen, and pages are alike", () => {
  const space = { w: 51, h: 19 };
  assert.deepEqual(fit(4, space, { w: 21, h: 9 }), { cols: 2, rows: 2, perPage: 4, pages: 1 });
  const grid = fit(300, space, { w: 8.6, h: 1.75 });
  assert.ok(grid.cols * 9.1 <= 52 && grid.rows * 2.25 <= 19.5);
  assert.ok(grid.pages * grid.perPage >= 300);
  const items = Array.from({ length: 300 }, (_, index) => index);
  const pages = Array.from({ length: grid.pages }, (_, page) => pageOf(items, grid, page)).flat();
  assert.deepEqual(pages, items);
  assert.deepEqual(pageOf(items, grid, 99), pageOf(items, grid, grid.pages - 1));
  assert.equal(
    densest(5, space, [
      { w: 13, h: 4.6 },
      { w: 8, h: 2 },
    ]).tile.h,
    4.6,
  );
  assert.equal(fit(0, space, { w: 10, h: 10 }).pages, 1);
});

test("few tiles are drawn larger, as far as all of them still fit", () => {
  const pbxs = [{ w: 14, h: 8.6 }, { w: 9, h: 5.6 }, { w: 5, h: 2.7, fills: true }];
  assert.deepEqual([2, 23, 200].map((count) => roomiest(count, { w: 54, h: 20 }, pbxs).zoom), [1.875, 1.625, 1]);
  const tiles = [
    { w: 13, h: 4.6 },
    { w: 8, h: 1.4 },
  ];
  const space = { w: 94, h: 42 };
  for (const [count, zoom] of [
    [4, 3],
    [19, 1.625],
    [30, 1.375],
    [31, 1.125],
    [48, 1],
    [300, 1],
  ]) {
    const grid = roomiest(count, space, tiles);
    assert.equal(grid.zoom, zoom, `of ${count}`);
    if (grid.pages > 1) continue;
    assert.ok(grid.cols * (grid.tile.w + 0.5) - 0.5 <= space.w / zoom);
    assert.ok(grid.rows * (grid.tile.h + 0.5) - 0.5 <= space.h / zoom);
    assert.ok(grid.cols * grid.rows >= count);
  }
  assert.equal(roomiest(300, space, tiles).tile, tiles[1]);
  assert.equal(roomiest(4, space, [{ ...tiles[0], most: 5 }]).zoom, 3.5, "larger than three times where it may be");
  const tall = { w: 14, h: 13, grows: true };
  const two = roomiest(2, { w: 51, h: 20 }, [{ w: 24, h: 9 }, tall]);
  assert.deepEqual([two.tile, two.zoom, two.cols, two.rows], [tall, 1.5, 2, 1], "what grows more fills the screen");
  assert.equal(roomiest(1, { w: 20, h: 5 }, [{ w: 24, h: 9 }]).zoom, 1, "not even one fits");
});

test("the numbers of a strip shrink together until all fit, their labels do not", () => {
  const needs = [
    { fixed: 40, value: 200, label: 150 },
    { fixed: 40, value: 400, label: 100 },
  ];
  assert.equal(shrunk(needs, 680), 1);
  const scale = shrunk(needs, 530);
  assert.ok(80 + 600 * scale <= 530 && 80 + 600 * (scale + 0.03) > 530, `${scale}`);
  assert.ok(80 + 150 + 400 * shrunk(needs, 430) <= 430);
  assert.equal(shrunk(needs, 10), 0.5);
});

test("the address is the configuration, and nonsense in it does no harm", () => {
  const settings = parseSettings("?queues=800,801&view=agents,bogus&theme=dark&lang=ru&kiosk=1&wait.800=30,90&free=x", {
    languages: ["en", "ru"],
  });
  assert.deepEqual(settings.filter, { queue: ["800", "801"] });
  assert.deepEqual([settings.views, settings.lang, settings.kiosk, settings.theme], [["agents"], "ru", true, "dark"]);
  assert.deepEqual(limits(settings.thresholds, "wait", "800", 20), [30, 90]);
  assert.deepEqual(limits(settings.thresholds, "wait", "801", 20), [20, 60]);
  assert.deepEqual(limits(settings.thresholds, "free", "801"), [0, null]);
  const plain = parseSettings("?page=zzz&kiosk=0", { languages: ["en", "ru"], preferred: ["de-DE", "ru-RU"] });
  assert.deepEqual(
    [plain.views, plain.kiosk, plain.page, plain.lang, plain.filter],
    [["queues"], false, 10, "ru", undefined],
  );
});

test("what the address says wrongly is told, and the default holds", () => {
  const read = (search) => parseSettings(search, { languages: ["en", "ru"] });
  for (const [search, metric, queue] of [
    ["waiting=abc", "waiting", ""],
    ["waiting=5,abc", "waiting", ""],
    ["waiting=5;6", "waiting", ""],
    ["sl.800=-5", "sl", "800"],
  ]) {
    const { problems, thresholds } = read(`?${search}`);
    assert.deepEqual(problems, [{ given: search, known: true }]);
    assert.deepEqual(limits(thresholds, metric, queue), THRESHOLDS[metric], search);
  }
  for (const search of ["view=agents,bogus", "theme=drak", "lang=xx", "page=zzz", "page=1", "kiosk=yes", "only=nobody", "sort=size", "queues="]) {
    assert.deepEqual(read(`?${search}`).problems, [{ given: search, known: true }]);
  }
  for (const search of ["wating=5", "kisok=1", "waiting.=5"]) {
    assert.deepEqual(read(`?${search}`).problems, [{ given: search, known: false }]);
  }
  const good = "view=everybody&kiosk=1&sound=0&theme=dark&lang=ru-RU&page=20&title=x&find=y&only=waiting&sort=-from&ext=101&waiting=&free=0,&wait.800=30,90&_=7";
  assert.deepEqual(read(`?${good}`).problems, []);
});

test("what deploy/wallboard.md says of the address is so", () => {
  const text = readFileSync(new URL("../../deploy/wallboard.md", import.meta.url), "utf-8");
  const [, settings, metrics] = text.split("\n## The words")[0].split(/^\| (?:setting|metric) \|/m);
  const names = (table) => [...table.matchAll(/^\|([^|]+)\|/gm)].flatMap(([, cell]) => cell.match(/[a-z]+/g) ?? []);
  const known = ["view", "kiosk", "page", "lang", "theme", "pbx", "title", "find", "only", "sort", "sound", ...Object.keys(LISTS)];
  assert.deepEqual(names(settings).filter((name) => !known.includes(name)), []);
  assert.deepEqual(known.filter((name) => !names(settings).includes(name)), []);
  assert.deepEqual(names(metrics), Object.keys(THRESHOLDS));
  const said = [...metrics.matchAll(/^\| `(\w+)` .* \| `([\d,]+)` \|$/gm)].map(([, name, limits]) => `${name}=${limits}`);
  assert.equal(said.length, 4);
  const { thresholds } = parseSettings(`?${said.join("&")}`);
  for (const [name, found] of Object.entries(thresholds)) assert.deepEqual(found, THRESHOLDS[name], name);
});

test("the glossary explains words that the wall has, and no two words are one thing", () => {
  const text = readFileSync(new URL("../../deploy/wallboard.md", import.meta.url), "utf-8").split("## The words")[1];
  const explained = [...text.matchAll(/^\| ([A-Z][^|]*?) \|/gm)].map(([, word]) => word);
  const known = Object.values(LANGUAGES.en).flatMap((word) => (typeof word === "object" ? Object.values(word) : word));
  assert.ok(explained.length > 8);
  assert.deepEqual(explained.filter((word) => !known.includes(word)), []);
  const said = JSON.stringify(LANGUAGES.en, (_, one) => (typeof one === "function" ? String(one) : one));
  for (const other of [/gave up/i, /\blost\b(?! \$)/i, /hung up/i]) assert.doesNotMatch(said, other);
  assert.equal(LANGUAGES.en.levelToday(80), "SL today, target 80 %");
  assert.notEqual(LANGUAGES.en.answeredQueues, LANGUAGES.en.answeredToday);
});

test("all languages have the same words, each word of the same kind", () => {
  const shape = (word) => {
    if (Array.isArray(word)) return word.map(([key]) => (/^\p{Lu}/u.test(key) ? "named" : key));
    return typeof word === "object" ? Object.keys(word).sort() : typeof word;
  };
  const free = ["profiles", "legs"]; // the PBX's own words; what is not here is shown as it is
  for (const [name, words] of Object.entries(LANGUAGES)) {
    assert.deepEqual(Object.keys(words).sort(), Object.keys(LANGUAGES.en).sort(), name);
    for (const [key, word] of Object.entries(words)) {
      if (!free.includes(key)) assert.deepEqual(shape(word), shape(LANGUAGES.en[key]), `${name}: ${key}`);
      if (typeof word === "function") {
        const said = word.toString().split("=>")[0].match(/\w+/g).length;
        assert.equal(said, LANGUAGES.en[key].toString().split("=>")[0].match(/\w+/g).length, `${name}: ${key}`);
      }
    }
  }
  for (const kind of Object.values(KINDS).flat()) assert.equal(typeof LANGUAGES.en[kind], "string", kind);
  const calls = (name) => [1, 2, 4, 5, 22].map((count) => LANGUAGES[name].callCount(count)).join();
  assert.equal(calls("en"), "1 call,2 calls,4 calls,5 calls,22 calls");
  assert.equal(calls("ru"), "1 звонок,2 звонка,4 звонка,5 звонков,22 звонка");
  assert.equal(calls("pl"), "1 połączenie,2 połączenia,4 połączenia,5 połączeń,22 połączenia");
  assert.equal(calls("fr"), "1 appel,2 appels,4 appels,5 appels,22 appels");
  assert.equal(LANGUAGES.pl.paused(22), "Pauza · 22 zmiany czekają");
  assert.equal(LANGUAGES.pl.paused(21), "Pauza · 21 zmian czeka");
  assert.equal(LANGUAGES.ru.paused(21), "Пауза · 21 изменение");
  assert.equal(LANGUAGES.ru.paused(12), "Пауза · 12 изменений");
  for (const words of Object.values(LANGUAGES)) {
    assert.match(words.alarmFree("800 Sales", 2), /\b2 · .*800 Sales$/, "not that nobody is free");
    assert.doesNotMatch(words.alarmFree("800 Sales", 0), /\b0\b/);
  }
});

test("a level whose number is nothing any more falls at once, and later ones are held as before", () => {
  const steady = new Steady(3_000);
  assert.equal(steady.level("waiting", 2, 0), 2);
  assert.equal(steady.level("waiting", 0, 1_000), 2);
  assert.equal(steady.level("waiting", 0, Infinity), 0);
  assert.equal(steady.level("waiting", 1, 2_000), 1);
  assert.equal(steady.level("waiting", 0, 2_500), 1);
  assert.equal(steady.level("waiting", 0, 5_000), 0);
});

test("the rows of a table that find no place on its pages are counted", () => {
  const wide = { w: 50, h: 1.9 + 8 * 2.55 + 2.6 }; // head, rows, and a foot of two lines
  const of = (count, most, screen = wide) => {
    const { row, ...pages } = sheets(count, screen, most);
    return pages;
  };
  assert.deepEqual(of(0, 3), { perPage: 8, pages: 1, left: 0 });
  assert.deepEqual(of(8, 3), { perPage: 8, pages: 1, left: 0 });
  assert.deepEqual(of(24, 3), { perPage: 8, pages: 3, left: 0 });
  assert.deepEqual(of(28, 3), { perPage: 8, pages: 3, left: 4 });
  assert.deepEqual(of(500, Infinity), { perPage: 8, pages: 63, left: 0 });
  const narrow = { w: 29, h: 48 };
  assert.deepEqual(of(500, 3, narrow), { perPage: 16, pages: 3, left: 452 });
});

test("rows that leave room on a screen are higher, and not for each row that comes or goes", () => {
  const narrow = { w: 29, h: 1.9 + 3.9 + 16 * 2.55 };
  const high = (count) => sheets(count, narrow, 3).row;
  assert.equal(high(500), 2.55);
  assert.equal(high(12), (16 * 2.55) / 12);
  assert.equal(high(11), high(10));
  assert.equal(high(10), high(12));
  assert.ok(high(9) > high(10));
});

test("a name that has no room gives its first names' initials, and no more of them than it must", () => {
  assert.equal(initialed("Ann Lee", 9), "Ann Lee");
  assert.equal(initialed("Jean-Baptiste Lefèvre", 8), "J. Lefèvre");
  assert.equal(initialed("Анна Мария Иванова", 10), "А. Мария Иванова");
  assert.equal(initialed("Анна Мария Иванова", 2), "А. М. Иванова", "the last name stays whole");
  assert.equal(initialed("Ahmed Haddad", 7), "A. Haddad", "wide letters are counted as such");
  assert.equal(initialed("  Reception ", 2), "Reception");
  assert.equal(initialed("", 2), "");
});

test("a day begins at midnight of the PBX's zone, also when the clocks are changed", () => {
  const begins = (at, zone) => new Date(midnight(Date.parse(at), zone)).toISOString();
  assert.equal(begins("2026-06-01T19:20:30.000Z", "Asia/Kolkata"), "2026-06-01T18:30:00.000Z");
  assert.equal(begins("2026-03-08T20:00:00.000Z", "America/Chicago"), "2026-03-08T06:00:00.000Z");
  assert.equal(begins("2026-11-01T20:00:00.000Z", "America/Chicago"), "2026-11-01T05:00:00.000Z");
  assert.equal(begins("2026-03-29T12:00:00.000Z", "Europe/Berlin"), "2026-03-28T23:00:00.000Z");
  assert.equal(begins("2026-10-25T12:00:00.000Z", "Europe/Berlin"), "2026-10-24T22:00:00.000Z");
  for (const at of ["00:30", "01:30", "09:00"]) // its first hour comes twice
    assert.equal(begins(`2026-10-25T${at}:00.000Z`, "Atlantic/Azores"), "2026-10-25T00:00:00.000Z");
});

test("the wall's own code is less than 120 KB, and the words of a language are few", () => {
  const folder = new URL("../../gateway/static/wall/", import.meta.url);
  const size = (name) => readFileSync(new URL(name, folder)).length;
  const [words, code] = [[], []];
  for (const name of readdirSync(folder)) (name.startsWith("words-") ? words : code).push(size(name));
  assert.equal(words.length, Object.keys(LANGUAGES).length);
  const sum = code.reduce((total, one) => total + one, 0);
  assert.ok(sum < 120 * 1024, `${sum} bytes`);
  assert.ok(Math.max(...words) < 8 * 1024, `${words} bytes: a page loads one of them`);
});
