/** A libp2p node as Shoal puts it together, without our frames: for what no host of ours would send. TCP only, and in nobody's DHT. */
import { newIdentity } from "../../src/network/identity.ts";
import { buildNode, type Node } from "../../src/network/libp2p.ts";

/** Not started yet. */
export async function makeRawNode(): Promise<Node> {
  const { node } = await buildNode({
    identity: await newIdentity(),
    listen: ["/ip4/127.0.0.1/tcp/0"],
    announce: [],
    nativeQuic: undefined,
    datastorePath: undefined,
    agentVersion: "0",
    dhtClient: true,
  });
  return node;
}
