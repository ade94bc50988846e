/**
 * Makes an invitation: who can be joined through, with the keys that their connections proved, and where. They are the bootstraps, or without
 * one members in the local network; each is asked for all of its addresses.
 */
import { nodeStatusOf } from "../diagnostics/index.ts";
import { ShoalError, VERSION } from "../lib/index.ts";
import {
  Commands,
  createHost,
  encodeInvitation,
  type Host,
  INVITATION,
  type Invitation,
  type InvitedPeer,
  ipOf,
  lanAddresses,
  lookOnLan,
  parseTarget,
  type PeerTarget,
} from "../network/index.ts";
import type { RoleContext } from "./role.ts";

const INVITE = Object.freeze({
  /** More make the text longer and help little: one that answers is enough. */
  peers: 3,
  /** Of one peer: two places, over QUIC and TCP. */
  addresses: 4,
});

export interface InviteOptions {
  /** Empty: members in the local network. */
  bootstraps: readonly string[];
  cluster: string;
  /** For each question. */
  timeoutMs: number;
}

/** From where it can be used, by its addresses. */
export type InvitationReach = "anywhere" | "local network" | "this machine";

export interface MadeInvitation {
  text: string;
  invitation: Invitation;
  reach: InvitationReach;
}

/** Throws BOOTSTRAP_UNREACHABLE: nobody answers who could be named. */
export async function makeInvitation(
  options: InviteOptions,
  { events, signal }: Pick<RoleContext, "events" | "signal">,
): Promise<MadeInvitation> {
  const { cluster, timeoutMs } = options;
  await using stack = new AsyncDisposableStack();
  const host = await createHost({
    listen: [],
    events,
    version: VERSION,
    dhtClient: true,
  });
  await host.start();
  stack.defer(() => host.stop());
  const wait = { timeoutMs, signal };
  const commands = new Commands(host);
  const targets = await targetsOf(options, signal);
  const tried = await Promise.allSettled(
    targets.map((target) => lookAt(host, commands, target, wait)),
  );
  signal.throwIfAborted();
  const reached = tried.flatMap((one) =>
    one.status === "fulfilled" ? [one.value] : [],
  );
  const peers = merged(reached).slice(0, INVITE.peers);
  if (peers.length === 0) throw nobody(options, tried);
  const invitation = { cluster, peers };
  const text = encodeInvitation(invitation);
  return { text, invitation, reach: reachOf(invitation) };
}

async function targetsOf(
  { bootstraps, cluster, timeoutMs }: InviteOptions,
  signal: AbortSignal,
): Promise<PeerTarget[]> {
  if (bootstraps.length > 0) return bootstraps.map((one) => parseTarget(one));
  const { found } = await lookOnLan(cluster, { waitMs: timeoutMs, signal });
  return found.slice(0, INVITATION.peers);
}

/** The connection proves its key; what was typed for it comes first among its addresses. */
async function lookAt(
  host: Host,
  commands: Commands,
  target: PeerTarget,
  wait: { timeoutMs: number; signal: AbortSignal },
): Promise<InvitedPeer> {
  const { peer } = await host.connect(target, wait);
  const status = await nodeStatusOf(commands, peer, wait).catch(() => null);
  const all = [...target.addresses, ...(status?.addresses ?? [])];
  const plain = all.map((one) => one.replace(/\/p2p\/[^/]+$/, ""));
  return { peerId: peer, addresses: bestOf([...new Set(plain)]) };
}

/** Those from farthest away first; loopback only where there is nothing else. */
function bestOf(addresses: readonly string[]): string[] {
  const elsewhere = addresses.filter((one) => !isLoopback(one));
  const local = new Set(lanAddresses(elsewhere));
  const sorted = [
    ...elsewhere.filter((one) => !local.has(one)),
    ...elsewhere.filter((one) => local.has(one)),
  ];
  return (sorted.length > 0 ? sorted : addresses).slice(0, INVITE.addresses);
}

/** A peer that was named by several addresses is one. */
function merged(peers: readonly InvitedPeer[]): InvitedPeer[] {
  const byId = Map.groupBy(peers, ({ peerId }) => peerId);
  return [...byId].map(([peerId, same]) => ({
    peerId,
    addresses: bestOf([...new Set(same.flatMap((one) => one.addresses))]),
  }));
}

function reachOf({ peers }: Invitation): InvitationReach {
  const all = peers.flatMap(({ addresses }) => addresses);
  const elsewhere = all.filter((one) => !isLoopback(one));
  if (elsewhere.length === 0) return "this machine";
  const isLan = peers.every(
    ({ addresses }) => lanAddresses(addresses).length === addresses.length,
  );
  return isLan ? "local network" : "anywhere";
}

function isLoopback(address: string): boolean {
  const ip = ipOf(address);
  return ip === "::1" || ip?.startsWith("127.") === true;
}

function nobody(
  { bootstraps, cluster, timeoutMs }: InviteOptions,
  tried: readonly PromiseSettledResult<unknown>[],
): ShoalError {
  const said = tried.flatMap((one) =>
    one.status === "rejected" ? [ShoalError.from(one.reason).message] : [],
  );
  const why = said.length === 0 ? "" : ` (${said.join("; ")})`;
  return new ShoalError(
    "BOOTSTRAP_UNREACHABLE",
    bootstraps.length === 0 && said.length === 0
      ? `no member of ${cluster} was found in the local network within ${timeoutMs / 1000} s: start one, or name the rendezvous with --bootstrap`
      : `nobody answers who could be invited to${why}`,
    { cluster },
  );
}
