/**
 * How surely and how fast two homes behind port-restricted routers get a direct connection: 100 times with new keys and new sockets, with routers that
 * drop what they do not know, and with routers that refuse it. Needs root.
 *
 *     npm exec -- node bench/punch.ts [tries]
 */
import { homesMissing } from "../test/support/homes.ts";
import { PunchLab } from "../test/support/punch-lab.ts";
import { quantile, report, round } from "./support.ts";

const tries = Number(process.argv[2] ?? 100);

if (homesMissing !== false) throw new Error(homesMissing);
for (const refuses of [false, true]) {
  await using lab = await PunchLab.create();
  const one = await lab.home("port restricted", { refuses });
  const other = await lab.home("port restricted", { refuses });
  const times: number[] = [];
  for (let i = 0; i < tries; i++) {
    const [, peer] = await Promise.all([one.renew(), other.renew()]);
    const { transport, tookMs, error } = await one.connect(peer);
    if (transport === "QUIC" && tookMs !== undefined) times.push(tookMs);
    else process.stderr.write(`${i}: ${transport ?? error}\n`);
  }
  report({
    bench: "punch",
    routers: refuses ? "refuse" : "drop",
    tries,
    direct: times.length,
    p50Ms: round(quantile(times, 0.5), 1),
    p95Ms: round(quantile(times, 0.95), 1),
    maxMs: round(Math.max(...times), 1),
  });
}
