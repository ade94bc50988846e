/**
 * TCP connections that both ends opened. libp2p lets a dialler answer the handshake (`initiator: false`), but @libp2p/tcp (11.0.28) calls its
 * end outbound all the same, and yamux numbers streams by that: two outbound ends would use the same numbers. Here the end that answers is
 * inbound.
 */
import type {
  DialTransportOptions,
  MultiaddrConnection,
  Transport,
  Upgrader,
} from "@libp2p/interface";

/** Wraps a transport's factory. */
export function answering<C>(
  factory: (components: C) => Transport,
): (components: C) => Transport {
  return (components) => {
    const transport = factory(components);
    const dial = transport.dial.bind(transport);
    transport.dial = (address, options: DialTransportOptions) => {
      const { initiator } = options as { initiator?: boolean };
      return dial(
        address,
        initiator === false
          ? { ...options, upgrader: inbound(options.upgrader) }
          : options,
      );
    };
    return transport;
  };
}

/** The same upgrader, which takes a dialler's connection for inbound. */
function inbound(upgrader: Upgrader): Upgrader {
  const answerer = Object.create(upgrader) as Upgrader;
  answerer.upgradeOutbound = (connection: MultiaddrConnection, options) => {
    connection.direction = "inbound";
    return upgrader.upgradeOutbound(connection, options);
  };
  return answerer;
}
