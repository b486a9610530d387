// Drives callmon.js through conversations: driver.mjs ADDRESS FILE… prints a line of JSON for each report. See README.md.
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { StreamClient } from "../../gateway/static/callmon.js";

console.warn = console.error = () => {}; // each trouble is a report

const plain = (state) => Object.fromEntries([...state].map(([topic, ids]) => [topic, Object.fromEntries(ids)]));

async function hold(address, file) {
  const conversation = basename(file, ".json");
  const { subscribe, client: expected } = JSON.parse(await readFile(file, "utf8"));
  const { more = {}, ...own } = subscribe;
  const client = new StreamClient({ url: `${address}/${conversation}/webapi/stream`, key: "key", ...own });
  let left = expected.length;
  await new Promise((resolve) => {
    const report = (told, fields) => {
      if (left <= 0) return;
      console.log(JSON.stringify({ conversation, told, ...fields }));
      if (--left === 0) resolve();
    };
    const follow = (id, held) => {
      const whole = () => ({ id, state: plain(held.state), stale_since: client.staleSince });
      held.addEventListener("state", ({ detail: { epoch, seq } }) => report("snapshot", { epoch, seq, ...whole() }));
      held.addEventListener("change", ({ detail }) => report("change", { ...detail, ...whole() }));
      held.addEventListener("heartbeat", ({ detail: { epoch, seq } }) => report("heartbeat", { epoch, seq, ...whole() }));
    };
    follow(null, client);
    for (const [id, wanted] of Object.entries(more)) follow(id, client.add(id, wanted));
    client.addEventListener("connection", ({ detail: { status, code, retryIn } }) => {
      if (status === "waiting" || status === "refused") report(status, { code, retry_in: retryIn });
    });
    client.connect();
  });
  client.close();
}

const [address, ...files] = process.argv.slice(2);
await Promise.all(files.map((file) => hold(address, file)));
