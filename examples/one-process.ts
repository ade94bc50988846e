/**
 * A whole swarm in one process: a rendezvous, a seeder with the model, two nodes that download their shards, and a gateway. Then one chat
 * through the API.
 *
 *     node examples/one-process.ts
 */
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  DEMO_MODEL,
  startGateway,
  startNode,
  startRendezvous,
  startSeeder,
} from "shoal";

await using folder = await mkdtempDisposable(join(tmpdir(), "shoal-example-"));
/** Each role has its own keys and files. */
const homeOf = (name: string) => ({ home: join(folder.path, name) });

const local = { host: "127.0.0.1", port: 0 };
await using rendezvous = await startRendezvous(local, homeOf("rendezvous"));

const member = {
  ...local,
  bootstrap: rendezvous.addresses,
  cluster: "example",
};
await using _seeder = await startSeeder(
  { ...member, model: DEMO_MODEL, shards: 2 },
  homeOf("seeder"),
);
await using _first = await startNode(member, homeOf("node-0"));
await using _second = await startNode(member, homeOf("node-1"));
await using gateway = await startGateway(
  { ...member, apiPort: 0 },
  homeOf("gateway"),
);
await gateway.ready();

const response = await fetch(`${gateway.url}/v1/chat/completions`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({
    model: "Shoal demo",
    messages: [{ role: "user", content: "Tell me a story." }],
    temperature: 0,
  }),
});
const { choices } = (await response.json()) as {
  choices: [{ message: { content: string } }];
};
console.log(choices[0].message.content);
