/** Writes docs/TESTS.md: `npm run docs`. The seconds are those of the last `npm test -- --seconds`. A test fails where the page is older than they are. */
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "..");
const SLOWEST = 20;

const HEAD = `# Tests

\`npm test\` checks types and style, builds the program, and runs every test. \`npm test -- FILE…\` runs those files only, \`--name TEXT\` the tests
whose name contains the text. The exit code is 0 if every test passed.

- **Unit tests** lie beside the code, in \`src\`: no processes, a clock that the test moves where time matters, real sockets on loopback where
  the network is the subject.
- **Integration tests** (\`test/integration\`) take several folders together.
- **End-to-end tests** (\`test/e2e\`) start the built program: real processes, real kills, real sockets, and a browser for the page. Two kinds
  need more than npm installs: network namespaces (root, \`ip\`, \`iptables\`, for homes also \`nft\`) and Chromium. Without them the test is skipped, and says so.

## How they run

Most end-to-end tests wait far more than they compute. So \`test/run.ts\` keeps one file running for each processor and starts another one
whenever the processors are idle, the slowest first. Unit tests of one room share a process, which loads the program once; the rooms run first, with little beside them. A test waits
for events, with deadlines far beyond what a busy machine needs. Where a test measures a time that Shoal promises, it subtracts how late
the machine itself was (\`test/support/lateness.ts\`). The whole takes 40 minutes on two processors, nearly all of it computing. What fails
beside others runs again at the end, alone, and that is told:
[why, and what was decided](decisions/how-long-the-tests-take.md).

These tests wait for real periods of a minute or less:

| period | waited for in |
|---|---|
| 60 s until an announcement expires | \`partition\` |
| 60 s until a shard that was taken over counts as well covered | \`churn\` |
| a minute without the rendezvous | \`outage\` |
| 20 s in which another cut is better | \`moving\` |
| 20 s of tries until a shard is given up, twice | \`given-up\` |
| 15 s inside one chunk; 10 s until an engine hangs | \`busy-engine\`, \`hung-engine\` |
| 15 s until a new content is announced in the DHT | \`content-dht\` |

QUIC and TCP are both proven in \`src/network\`; what is above chooses one, with one test over the other.

## The slowest files

\`npm test -- --seconds\` measures them and \`npm run docs\` writes this table. The seconds are wall time on a machine with two cores, with other
files beside them.

| file | seconds | what it proves |
|---|---|---|
`;

const TAIL = `
## Tests that went elsewhere

These tests changed place or kind:

| test | what became of it |
|---|---|
| \`grafana\`: the dashboard's metrics | in \`status\`, at the swarm that is there |
| \`greedy\`: the demo model on 2 and 4 nodes | in \`status\` and \`from-seeder\`, at the swarms that are there |
| \`from-seeder\`: one greedy prompt | replaced by the 20 prompts of \`greedy\` |
| \`churn\`: a node that is told to stop | after the node that fell silent, in the same swarm |
| \`cli\`: a story by a model without a chat template | on 2 nodes, was 5; \`greedy\` has 5 |
| \`package\`: a story by the globally installed program | on 1 node, was 4 |
| \`download\`: from three sources, one dying, and from each other, over QUIC | over TCP only; one whole download over QUIC stays, and \`src/network\` proves both transports |
| \`greedy\`: stories260K on 1 to 5 nodes | the nodes run in the test's process, each with its engine as a process, and answer with 64 tokens in place of 128; the demo model's nodes are still processes of their own, with 128 |
`;

export function testsPage(): string {
  const seconds = JSON.parse(read("test/seconds.json")) as Record<
    string,
    number
  >;
  const rows = Object.entries(seconds)
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, SLOWEST)
    .map(([file, each]) => `| \`${file}\` | ${each} | ${proofOf(file)} |\n`);
  return HEAD + rows.join("") + TAIL;
}

/** The first paragraph of the comment that opens the file. */
function proofOf(file: string): string {
  const [, comment] = /^\/\*\*(.*?)\*\//s.exec(read(file)) ?? [];
  if (comment === undefined)
    throw new Error(`${file} does not say what it proves`);
  const [paragraph = ""] = comment.replaceAll(/^ *\* ?/gm, "").split("\n\n");
  return paragraph.replaceAll(/\s+/g, " ").trim();
}

function read(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

if (import.meta.main)
  writeFileSync(new URL("TESTS.md", import.meta.url), testsPage());
