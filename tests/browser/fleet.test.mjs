// The logic of the page of many PBXs, without a browser: values in, values out.
import assert from "node:assert/strict";
import { test } from "node:test";
import { levels, totals, worstFirst } from "../../gateway/static/fleet/order.js";
import { WORDS } from "../../gateway/static/fleet/words.js";
import { LANGUAGES } from "../../gateway/static/wall/words.js";

const NOW = Date.parse("2026-03-04T10:00:00.000Z");
const ago = (seconds) => new Date(NOW - 1_000 * seconds).toISOString();
const pbx = (more = {}) => ({
  name: "east",
  connection: "connected",
  since: ago(900),
  reason: "",
  version: "20",
  licenceLimit: 32,
  calls: 3,
  waiting: 0,
  waitingSince: null,
  linesUsed: 2,
  linesTotal: 8,
  alarms: [],
  ...more,
});
const all = (more, thresholds = {}) => levels(pbx(more), thresholds, NOW).all;

test("what is wrong at a PBX is a warning or an alarm", () => {
  assert.equal(all({}), 0);
  for (const connection of ["lost", "silent", "unknown"]) assert.equal(all({ connection }), 2, connection);
  assert.equal(all({ connection: "connecting" }), 1);
  assert.equal(all({ alarms: ["lines"] }), 1);
  assert.deepEqual([25, 26, 31].map((calls) => all({ calls })), [0, 1, 2]);
  assert.deepEqual([2, 3, 6].map((waiting) => all({ waiting })), [0, 1, 2]);
  assert.deepEqual([59, 60, 180].map((since) => all({ waiting: 1, waitingSince: ago(since) })), [0, 1, 2]);
});

test("thresholds of the address hold, and what a limited key does not see is not bad", () => {
  assert.equal(all({ waiting: 1, waitingSince: ago(100) }, { wait: [200, 400] }), 0);
  assert.equal(all({ waiting: 1 }, { waiting: [null, 1] }), 2);
  assert.equal(all({ calls: null, waiting: null, linesUsed: null, linesTotal: null }), 0);
  assert.equal(all({ licenceLimit: null, calls: 500 }), 0);
});

test("the worst comes first, and nothing moves because time goes by", () => {
  const rows = (time) =>
    [
      pbx({ name: "calm-10" }),
      pbx({ name: "calm-9" }),
      pbx({ name: "short", waiting: 6, waitingSince: ago(5) }),
      pbx({ name: "long", waiting: 1, waitingSince: ago(300) }),
      pbx({ name: "gone", connection: "lost" }),
      pbx({ name: "line", alarms: ["lines"] }),
    ]
      .map((one) => ({ pbx: one, found: levels(one, {}, time) }))
      .map((row) => ({ ...row, level: row.found.all }))
      .sort(worstFirst)
      .map((row) => row.pbx.name);
  assert.deepEqual(rows(NOW), ["gone", "long", "short", "line", "calm-9", "calm-10"]);
  assert.deepEqual(rows(NOW + 3_600_000), rows(NOW));
});

test("the numbers above the tiles are those of all PBXs", () => {
  const some = [pbx({ waiting: 2, waitingSince: ago(9) }), pbx({ connection: "lost", calls: null, waitingSince: ago(20) })];
  assert.deepEqual(totals(some), { count: 2, away: 1, calls: 3, waiting: 2, since: ago(20) });
  assert.equal(totals([]).since, null);
});

test("all languages of the wall have this page's words, each word of the same kind", () => {
  assert.deepEqual(Object.keys(WORDS).sort(), Object.keys(LANGUAGES).sort());
  const kinds = (words) => Object.entries(words).map(([name, word]) => [name, typeof word]);
  for (const [name, words] of Object.entries(WORDS)) {
    assert.deepEqual(kinds(words), kinds(WORDS.en), name);
    assert.deepEqual(Object.keys(words.connections), Object.keys(WORDS.en.connections), name);
    for (const count of [0, 1, 2, 5, 21]) assert.match(words.troubled(count), new RegExp(`\\b${count}\\b`), name);
  }
});
