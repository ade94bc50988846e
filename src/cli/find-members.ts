/** Whom to ask about a cluster where no member was named: those in the local network. */
import { ShoalError } from "../lib/index.ts";
import { lookOnLan } from "../network/index.ts";

/** A member answers within some 20 ms; a network that loses the first question is asked a second time after ten seconds. */
const WAIT_MS = 12_000;

/** Addresses of members, as --bootstrap takes them. Throws BOOTSTRAP_UNREACHABLE. */
export async function membersInLan(
  cluster: string,
  { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
): Promise<string[]> {
  const waitMs = Math.min(WAIT_MS, timeoutMs);
  const { found, problems } = await lookOnLan(cluster, { waitMs, signal });
  if (found.length === 0)
    throw new ShoalError(
      "BOOTSTRAP_UNREACHABLE",
      `no member of ${cluster} was found in the local network within ${waitMs / 1000} s${problems.length === 0 ? "" : ` (${problems.join("; ")})`}; name one with --bootstrap or --join`,
      { cluster, timeoutMs: waitMs },
    );
  return found.flatMap(({ peerId, addresses }) =>
    addresses.map((address) => `${address}/p2p/${peerId}`),
  );
}
