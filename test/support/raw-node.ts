/** A libp2p node configured like Shoal's, without our frames, to send what no host of ours would. TCP only, and without a DHT. */
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
