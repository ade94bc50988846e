/**
 * Through a relay against directly: round trips of an activation's size, and MB/s. Three processes on loopback: the relay, one that is reached
 * through it, and one that measures. The relay's rate is not limited.
 *
 *     npm exec -c 'node bench/relay.ts --pairs 3'
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Measured, Task, Where } from "./relay-side.ts";
import { median, quantile, report, round } from "./support.ts";

const { values } = parseArgs({
  options: {
    bytes: { type: "string", default: "4096" },
    rounds: { type: "string", default: "1000" },
    megabytes: { type: "string", default: "100" },
    pairs: { type: "string", default: "3" },
  },
});
const SIDE = join(import.meta.dirname, "relay-side.ts");
const children: ChildProcess[] = [];

/** Of several runs. */
const summary = (all: readonly Measured[]) => ({
  transport: all[0]?.transport,
  roundTripMs: round(median(all.map((one) => median(one.roundTripsMs)))),
  p95Ms: round(median(all.map((one) => quantile(one.roundTripsMs, 0.95)))),
  megabytesPerSecond: round(
    median(all.map((one) => one.megabytesPerSecond)),
    1,
  ),
});

for (const transport of ["QUIC", "TCP"]) {
  const listen = [
    transport === "QUIC"
      ? "/ip4/127.0.0.1/udp/0/quic-v1"
      : "/ip4/127.0.0.1/tcp/0",
  ];
  const side = async <T>(task: Task): Promise<T> => {
    const child = fork(SIDE);
    children.push(child);
    child.send({ ...task, listen });
    const [said] = (await once(child, "message")) as [T];
    return said;
  };
  const relay = await side<Where>({ role: "relay" });
  const { peerId, addresses } = await side<Where>({ role: "reached", relay });
  const measure = async (isRelayed: boolean): Promise<Measured> =>
    await side<Measured>({
      role: "measures",
      relay,
      target: {
        peerId,
        addresses: addresses.filter(
          (a) => a.includes("p2p-circuit") === isRelayed,
        ),
      },
      bytes: Number(values.bytes),
      rounds: Number(values.rounds),
      megabytes: Number(values.megabytes),
    });
  // In turn, so that load on this machine falls on both alike.
  const direct: Measured[] = [];
  const relayed: Measured[] = [];
  for (let i = 0; i < Number(values.pairs); i++) {
    direct.push(await measure(false));
    relayed.push(await measure(true));
  }
  const [one, other] = [summary(direct), summary(relayed)];
  report({
    bench: "relay",
    over: transport,
    bytes: Number(values.bytes),
    direct: one,
    relayed: other,
    addedMs: round(other.roundTripMs - one.roundTripMs),
    share: round(other.megabytesPerSecond / one.megabytesPerSecond, 2),
  });
}
for (const child of children) child.kill();
