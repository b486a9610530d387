// Drives callmon.js through conversations: driver.mjs ADDRESS FILE… prints a line of JSON for each report. See README.md.
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { StreamClient } from "../../gateway/static/callmon.js";

console.warn = console.error = () => {}; // each trouble is a report

const plain = (state) => Object.fromEntries([...state].map(([topic, ids]) => [topic, Object.fromEntries(ids)]));

async function hold(address, file) {
  const conversation = basename(file, ".json");
  const { subscribe, client: expected } = JSON.parse(await readFile(file, "utf8"));
  const client = new StreamClient({ url: `${address}/${conversation}/webapi/stream`, key: "key", ...subscribe });
  let left = expected.length;
  await new Promise((resolve) => {
    const report = (told, fields) => {
      if (left <= 0) return;
      console.log(JSON.stringify({ conversation, told, ...fields }));
      if (--left === 0) resolve();
    };
    const whole = () => ({ state: plain(client.state), stale_since: client.staleSince });
    client.addEventListener("state", ({ detail: { epoch, seq } }) => report("snapshot", { epoch, seq, ...whole() }));
    client.addEventListener("change", ({ detail }) => report("change", { ...detail, ...whole() }));
    client.addEventListener("heartbeat", ({ detail: { epoch, seq } }) => report("heartbeat", { epoch, seq, ...whole() }));
    client.addEventListener("connection", ({ detail: { status, code, retryIn } }) => {
      if (status === "waiting" || status === "refused") report(status, { code, retry_in: retryIn });
    });
    client.connect();
  });
  client.close();
}

const [address, ...files] = process.argv.slice(2);
await Promise.all(files.map((file) => hold(address, file)));
