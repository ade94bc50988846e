/**
 * Watches a cluster until Ctrl-C, and prints a line when its state changes. `npm start` runs a cluster on this machine.
 *
 *     node examples/watch.ts [bootstrap] [cluster]
 */
import { connect } from "shoal";

const [bootstrap = "127.0.0.1:51820", cluster = "local"] =
  process.argv.slice(2);

const ended = new AbortController();
process.once("SIGINT", () => ended.abort());

await using client = await connect({ bootstrap, cluster });
let last: string | undefined;
for await (const status of client.watch({ signal: ended.signal })) {
  const line = status.ready
    ? `ready: ${status.model}, ${status.members.length} members`
    : `not ready: ${status.reason}`;
  if (line !== last) console.log(line);
  last = line;
}
