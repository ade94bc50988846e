/**
 * Publishes a model for a cluster, lists what the cluster shares, and downloads one part of it. Each piece is verified on its way.
 *
 *     node examples/publish-and-download.ts [model.gguf]
 */
import { mkdtempDisposable, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, DEMO_MODEL, startRendezvous, startSeeder } from "shoal";

const [model = DEMO_MODEL] = process.argv.slice(2);
await using folder = await mkdtempDisposable(join(tmpdir(), "shoal-example-"));
const homeOf = (name: string) => ({ home: join(folder.path, name) });

const local = { host: "127.0.0.1", port: 0 };
await using rendezvous = await startRendezvous(local, homeOf("rendezvous"));
const member = {
  ...local,
  bootstrap: rendezvous.addresses,
  cluster: "example",
};
await using _seeder = await startSeeder(
  { ...member, model, shards: 2 },
  homeOf("seeder"),
);

await using client = await connect(member, homeOf("client"));
const files = await client.files();
for (const { name, sizeBytes } of files) console.log(`${sizeBytes}  ${name}`);

const wanted = files.find(({ kind }) => kind === "part");
if (wanted === undefined) throw new Error("the cluster shares no part");
const path = await client.download(wanted.root, join(folder.path, "part"));
const { size } = await stat(path);
console.log(`downloaded ${wanted.name}: ${size} bytes`);
