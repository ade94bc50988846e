/** Does another process run with this machine's identity, from a copy of its home? */
import { join } from "node:path";
import { isShoalError } from "../lib/index.ts";
import { describeAddress, isDatabaseOpen } from "../network/index.ts";
import type { Check } from "./examination.ts";
import { ok, problem } from "./finding.ts";

/** It runs elsewhere if its node answers somewhere, proves its key, and is not that of this home. */
export const checkIdentity: Check = async ({
  ownPeer,
  status,
  paths,
  hosts,
  options,
  signal,
}) => {
  const addresses =
    status?.members.find(({ peer }) => peer === ownPeer)?.addresses ?? [];
  if (ownPeer === undefined || addresses.length === 0) return [];
  if (await isDatabaseOpen(join(paths.state, "node-datastore")))
    return [ok("identity", "this node is in the cluster")];
  try {
    const { address } = await hosts.udp.connect(
      { peerId: ownPeer, addresses },
      { timeoutMs: options.timeoutMs, signal },
    );
    const place = describeAddress(address);
    return [
      problem(
        "identity",
        "IDENTITY_TWICE",
        `a node with this home's identity runs already, at ${place}`,
        { peer: ownPeer, place, path: join(paths.state, "node.key") },
      ),
    ];
  } catch (error) {
    signal.throwIfAborted();
    // What the cluster knows of it is of a node that has ended.
    if (isShoalError(error)) return [];
    throw error;
  }
};
