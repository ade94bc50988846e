/** What hole punching needs of a host: datagrams from its QUIC sockets, and dials of one exact address, from a given TCP port too. */
import { isIP } from "node:net";
import type { Connection } from "@libp2p/interface";
import { withDeadline } from "../lib/index.ts";
import type { TransportDialOptions } from "./transport-dial.ts";
import { DEFAULTS } from "./defaults.ts";
import type {
  Endpoint,
  UdpSocketName,
  UdpSockets,
} from "./quic/udp-sockets.ts";

/** A TCP dial from this local port. Of two that dial each other, exactly one is the initiator of the handshake. */
export interface TcpOpen {
  localPort: number;
  initiator: boolean;
}

export interface Punching {
  /** Why no datagram can be sent from the QUIC sockets; undefined if it can. */
  readonly missing: string | undefined;
  /** Sends a datagram of at most 64 bytes from a QUIC socket. False where there is none of that name and family, or the system refuses. */
  send(from: UdpSocketName, data: Uint8Array, to: Endpoint): boolean;
  /** Dials this address only, over QUIC or from a TCP port; the id of the connection. Rejects with libp2p's error or DEADLINE. */
  dial(
    peer: string,
    to: Endpoint,
    tcp: TcpOpen | undefined,
    signal: AbortSignal,
  ): Promise<string>;
}

export interface PunchingOptions {
  /** Why there is no QUIC; undefined if there is. */
  quicMissing: string | undefined;
  sockets: UdpSockets;
  dial: (
    address: string,
    signal: AbortSignal,
    how: TransportDialOptions,
  ) => Promise<Connection>;
}

export function punchingOf(options: PunchingOptions): Punching {
  const { quicMissing, sockets } = options;
  return {
    missing: quicMissing ?? sockets.missing,
    send: (from, data, to) => sockets.send(from, data, to),
    dial: async (peer, to, tcp, signal) => {
      const connection = await withDeadline(
        DEFAULTS.addressDialMs,
        `dial of ${peer}`,
        (limited) =>
          options.dial(addressOf(peer, to, tcp !== undefined), limited, {
            ...tcp,
          }),
        { signal, code: "DIAL_FAILED" },
      );
      return connection.id;
    },
  };
}

function addressOf(
  peer: string,
  { host, port }: Endpoint,
  tcp: boolean,
): string {
  const ip = isIP(host) === 6 ? "ip6" : "ip4";
  const transport = tcp ? `tcp/${port}` : `udp/${port}/quic-v1`;
  return `/${ip}/${host}/${transport}/p2p/${peer}`;
}
