/** The relay's answer to who asks for a place: why not, or what it gives, and where it sees the asker. */
import { z } from "zod";
import { type Commands, type Host, ipOf } from "../network/index.ts";
import type { RelayLimits } from "./relay-limits.ts";

export const RELAY = {
  name: "RELAY",
  params: z.object({}),
  result: z.object({
    /** The asker's IP on the connection that it asked over. */
    seenAt: z.string().max(64).nullable(),
    /** Divided among those that send. */
    bytesPerSecond: z.number().min(0),
  }),
} as const;

export interface RelayServiceOptions {
  host: Pick<Host, "connections">;
  commands: Commands;
  limits: RelayLimits;
}

/** Answers RELAY; before the host starts. Where it is not served nothing is relayed. */
export function serveRelay({
  host,
  commands,
  limits,
}: RelayServiceOptions): void {
  commands.handle(RELAY.name, RELAY.params, (_, { peer }) => {
    limits.checkPlace(peer); // throws RELAY_LIMIT, which names the limit
    const seen = host
      .connections()
      .filter((one) => one.peer === peer)
      .flatMap(({ address }) => ipOf(address) ?? []);
    const { bytesPerSecond } = limits;
    return { seenAt: seen[0] ?? null, bytesPerSecond };
  });
}
