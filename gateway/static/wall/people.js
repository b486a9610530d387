/** What agents do, of the entities. Pure. */

export const STATES = ["free", "ringing", "talking", "away", "out"];

/** Activities of one who is in a call and not rung → key of its word. */
const BUSY = { Talking: "talking", Dialing: "dialing", Listening: "listens", Waiting: "waits" };

/**
 * What an extension does: {state, word, since, talk}. `state`: one of STATES; `word`: a key of the words, or null where
 * `profile` says it better. `loggedIn`: to the queue that is looked at; undefined: to queues at all.
 */
export function doing(ext, loggedIn = ext.qGlobalStatus !== "LoggedOut") {
  const talks = ext.talks.filter((one) => one.activity === ext.activity);
  const talk = talks.find((one) => !one.queue) ?? talks[0] ?? null; // with a queue: he waits in it himself
  const { since, presenceSince } = ext;
  if (ext.activity === "Ringing") return { state: "ringing", word: "ringing", since: talk?.since ?? since, talk };
  if (ext.activity in BUSY) {
    const queued = talk?.queue && (ext.activity === "Waiting" || ext.activity === "Talking");
    return { state: "talking", word: queued ? "inQueue" : BUSY[ext.activity], since: talk?.since ?? since, talk };
  }
  if (!ext.registered || ext.enabled === 0) return { state: "out", word: "offline", since: presenceSince, talk };
  if (ext.fwdName && ext.fwdName !== "Available" && !ext.available) {
    return { state: "away", word: ext.fwdName === "Away" ? "away" : null, profile: ext.fwdName, since: presenceSince, talk };
  }
  if (!loggedIn) return { state: "out", word: "out", since: presenceSince, talk };
  return { state: "free", word: "free", since: later(since, presenceSince), talk };
}

const later = (one, other) => (one && other ? (one > other ? one : other) : (one ?? other));

/** What PBXs and providers write for the name of one who withholds the number. */
const WITHHELD = /^\W*(anonym|unknown|unavailable|private|restricted|withheld|blocked|hidden|скрыт|неизвест|аноним)/i;

/** A name, unless it only says the number, or that it is withheld. */
export const nameOf = (num, name) => name && name !== num && (num ? /\p{L}/u.test(name) : !WITHHELD.test(name)) ? name : "";

export const fullName = (ext) => [ext.name, ext.lastname].filter(Boolean).join(" ");

/** The agents of all queues, by number. `everybody`: all extensions, as also without queues. */
export function agentRows(state, everybody = false) {
  const extensions = topic(state, "extensions");
  const queues = [...topic(state, "queues").values()];
  const nums = new Set(queues.flatMap((queue) => queue.agents.map((agent) => agent.num)));
  const loggedIn = new Set(queues.flatMap((queue) => queue.loggedIn));
  const all = everybody || !queues.length;
  const stats = topic(state, "extstats");
  return [...extensions.values()]
    .filter((ext) => all || nums.has(ext.num))
    .map((ext) => ({
      num: ext.num,
      name: fullName(ext),
      person: ext.lastname,
      stats: stats.get(ext.num) ?? null,
      ...doing(ext, nums.has(ext.num) ? loggedIn.has(ext.num) : queues.length > 0 || undefined),
    }))
    .sort(byNumber);
}

/** How many are in each state. */
export const tally = (rows) => Object.fromEntries(STATES.map((state) => [state, rows.filter((row) => row.state === state).length]));

export const topic = (state, name) => state.get(name) ?? new Map();

export const byNumber = (one, other) => one.num.length - other.num.length || (one.num < other.num ? -1 : 1);
