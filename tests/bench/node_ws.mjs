// Node's ws as a peer: each line that comes is one broadcast. Arguments: where npm put it, bytes of a frame's payload.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(`${process.argv[2]}/`);
const { WebSocketServer } = require("ws");

const payload = Buffer.alloc(Number(process.argv[3]), "x");
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, backlog: 1024, perMessageDeflate: false }, () =>
  console.log(JSON.stringify({ port: server.address().port })),
);
let first = true; // it says how many will come
createInterface({ input: process.stdin }).on("line", () => {
  if (first) first = false;
  else for (const client of server.clients) client.send(payload, { binary: true });
});
