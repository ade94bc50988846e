/** A dial of one address. libp2p's interface hides the transport manager; its dial queue would try addresses one after the other. */
import type { Connection } from "@libp2p/interface";
import { multiaddr, type Multiaddr } from "@multiformats/multiaddr";
import type { Node } from "./libp2p.ts";

export interface TransportDialOptions {
  /** QUIC: over a socket that sent nothing before. */
  freshSocket?: boolean;
  /** TCP: from this port. */
  localPort?: number;
  /** TCP, where both ends dial each other: false for the one that answers the handshake. */
  initiator?: boolean;
}

export async function dialTransport(
  node: Node,
  address: string,
  options: TransportDialOptions & { signal: AbortSignal },
): Promise<Connection> {
  const { transportManager } = (
    node as unknown as {
      components: {
        transportManager: {
          dial(to: Multiaddr, how: typeof options): Promise<Connection>;
        };
      };
    }
  ).components;
  return await transportManager.dial(multiaddr(address), options);
}
