/** Does a bootstrap's DHT store and answer? The doctor puts, gets, provides and finds a record there. */
import { ShoalError } from "../lib/index.ts";
import type { Check } from "./examination.ts";
import { ok, problem, skipped, type Finding } from "./finding.ts";

export const checkDht: Check = async ({ reached, hosts, options, signal }) => {
  const findings: Finding[] = [];
  for (const { peer, target, speaks } of reached) {
    if (!speaks) continue;
    const { place } = target;
    try {
      const wait = { timeoutMs: options.timeoutMs, signal };
      await hosts.udp.connect({ ...target.target, peerId: peer }, wait);
      const { passed, words } = await hosts.udp.dht.probe(peer, wait);
      findings.push(
        passed
          ? ok("dht", `the DHT of ${place} stores and answers`)
          : problem(
              "dht",
              "DHT_BROKEN",
              `the DHT of ${place} does not store: ${words}`,
              { place },
            ),
      );
    } catch (error) {
      signal.throwIfAborted();
      findings.push(
        skipped(
          "dht",
          `the DHT of ${place} was not asked: ${ShoalError.from(error).message}`,
        ),
      );
    }
  }
  return findings;
};
