/** The hosts of liars: they are only sources. Some lie in frames, some below them. */
import { makeRawNode } from "../support/raw-node.ts";
import { createHost } from "../../src/network/index.ts";
import type { Answerer } from "./malicious-peers.ts";
import type { PeerSpec } from "../../src/transfer/source.ts";
import { MIB } from "./transfer.ts";
import type { WireLie } from "./malicious-wires.ts";
import {
  decodeAsk,
  MAX_ASK_BYTES,
  TORRENT_PROTOCOL,
} from "../../src/transfer/wire.ts";

export interface Liar {
  spec: PeerSpec;
  /** Somebody asked it for a content. */
  asked: Promise<void>;
  /** The first stream that it was asked on has ended. */
  over: Promise<void>;
  /** Given to the transport so far. */
  sentBytes: () => number;
  /** Since it last gave something. */
  silentMs: () => number;
  stop: () => Promise<void>;
}

/** Lies in frames. It is in nobody's DHT: hosts that look for each other would be all that a test measures. */
export async function startLiar(lie: Answerer): Promise<Liar> {
  const host = await createHost({
    listen: ["/ip4/127.0.0.1/tcp/0"],
    quic: false,
    dhtClient: true,
  });
  const asked = Promise.withResolvers<void>();
  const over = Promise.withResolvers<void>();
  const sent = new Sent();
  host.handleStreams(
    TORRENT_PROTOCOL,
    (stream) => {
      const send = stream.send.bind(stream);
      stream.send = (...parts) => {
        for (const part of parts) sent.add(part.byteLength);
        return send(...parts);
      };
      stream.onClose(() => over.resolve());
      stream.onFrame((frame) => {
        asked.resolve();
        // Does not wait: a liar reads on while it floods.
        Promise.resolve(lie(decodeAsk(frame), stream)).catch(() => {});
      });
    },
    { maxFrameBytes: MAX_ASK_BYTES, maxSendFrameBytes: 2 * MIB },
  );
  await host.start();
  return {
    spec: { kind: "peer", peerId: host.peerId, addresses: host.addresses() },
    asked: asked.promise,
    over: over.promise,
    sentBytes: () => sent.bytes,
    silentMs: () => sent.silentMs,
    stop: () => host.stop(),
  };
}

/** Lies in bytes: a libp2p node without our frames. */
export async function startWireLiar({ flood }: WireLie): Promise<Liar> {
  const node = await makeRawNode();
  const asked = Promise.withResolvers<void>();
  const over = Promise.withResolvers<void>();
  const sent = new Sent();
  await node.handle(TORRENT_PROTOCOL, (stream, connection) => {
    asked.resolve();
    stream.addEventListener("close", () => over.resolve());
    const { remotePeer } = connection;
    flood(
      stream,
      connection,
      (bytes) => sent.add(bytes),
      () => node.dial(remotePeer),
    );
  });
  await node.start();
  return {
    spec: {
      kind: "peer",
      peerId: node.peerId.toString(),
      addresses: node.getMultiaddrs().map((a) => a.toString()),
    },
    asked: asked.promise,
    over: over.promise,
    sentBytes: () => sent.bytes,
    silentMs: () => sent.silentMs,
    stop: async () => {
      await node.stop();
    },
  };
}

/** What left it, and when last. */
class Sent {
  bytes = 0;
  #atMs = 0;

  get silentMs(): number {
    return performance.now() - this.#atMs;
  }

  add(bytes: number): void {
    this.bytes += bytes;
    this.#atMs = performance.now();
  }
}
