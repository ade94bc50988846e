/** Creates a host from its options, not started yet. */
import { transportOf } from "./address.ts";
import type { Host, HostOptions } from "./host.ts";
import { loadOrCreateIdentity, newIdentity } from "./identity.ts";
import { Libp2pHost } from "./libp2p-host.ts";
import { buildNode } from "./libp2p.ts";
import { loadNativeQuic } from "./quic/native.ts";

export async function createHost(options: HostOptions = {}): Promise<Host> {
  const {
    keyPath,
    listen = [],
    announce = [],
    version = "0",
    datastorePath,
  } = options;
  const identity =
    keyPath === undefined
      ? await newIdentity()
      : await loadOrCreateIdentity(keyPath);
  const loaded =
    options.quic === false ? { reason: "switched off" } : loadNativeQuic();
  const built = await buildNode({
    identity,
    listen:
      loaded.native === undefined
        ? listen.filter((a) => transportOf(a) !== "QUIC")
        : listen,
    announce,
    nativeQuic: loaded.native,
    datastorePath,
    agentVersion: version,
    recordKinds: options.recordKinds,
    dhtLimits: options.dhtLimits,
    dhtClient: options.dhtClient,
    relay: options.relay,
    metrics: options.metrics,
    clock: options.clock,
  });
  return new Libp2pHost(identity, built, options, loaded.reason);
}
