/** A role's page with 200 made-up members, in a process of its own: bench/page.ts measures what it costs. */
import { createDiagnostics } from "../src/diagnostics/index.ts";
import { Events } from "../src/lib/index.ts";
import { statusOf } from "../test/support/status.ts";

const MEMBERS = Number(process.argv[2]);
const SHARDS = 20;
/** Of a swarm where something happens all the time. */
const EVENTS_PER_SECOND = 5;

const events = new Events();
const diagnostics = createDiagnostics({ host: "127.0.0.1", port: 0, events });
let answers = 0;
const { url } = await diagnostics.start(() => {
  answers++;
  const status = statusOf(MEMBERS, SHARDS);
  for (const [i, connection] of status.connections.entries())
    connection.roundTripMs = ((i * 7 + answers * 13) % 90) / 10;
  return status;
});
setInterval(() => {
  events.info("MSG", "something happened", {
    peer: "12D3KooWDidkhUVFX1YaavS5UCAEELx1ahwZ3VouAkCG8E5XNAKq",
  });
}, 1000 / EVENTS_PER_SECOND);
process.on("message", () => process.send?.({ cpu: process.cpuUsage() }));
process.once("disconnect", () => process.exit());
process.send?.({ url });
