/**
 * One stream to each neighbour for the messages to it: the first frame names the cluster, each other is a message. Nothing is confirmed: what is
 * lost with a stream, the next exchange of everything repairs.
 */
import { type Clock, ShoalError } from "../lib/index.ts";
import { type FrameStream, type Host, PeerQuota } from "../network/index.ts";
import { MAX_GOSSIP_BYTES } from "./gossip-wire.ts";

/** 2: binary. Members with another version of the cluster protocol do not speak it. */
export const GOSSIP_PROTOCOL = "/shoal/gossip/2.0.0";

const STREAMS = Object.freeze({
  openMs: 5_000,
  /** Messages that wait until a stream is open. */
  waiting: 16,
  /** Unsent bytes to a neighbour that reads slowly: more is dropped. */
  queuedBytes: 1024 * 1024,
  /** Of one peer, one a cluster: a process is in a few. */
  perPeer: 64,
  /** Messages accepted from one peer. A busy neighbour in a large cluster sends ten a second. */
  rate: { burst: 1_000, perSecond: 100 },
  maxNameBytes: 512,
  /** One that was open for less is not told as broken, so that a neighbour that ends each stream costs nothing. */
  settledMs: 1_000,
});

interface Outgoing {
  stream: FrameStream | undefined;
  waiting: Uint8Array[];
}

export interface GossipStreamsOptions {
  host: Pick<Host, "openStream">;
  cluster: string;
  onRefused: (peer: string, error: unknown) => void;
  /** It ended the stream in order: it is not in this cluster. */
  onForeign: (peer: string) => void;
  /** The stream was lost, and what was sent last with it; the peer may be connected by another way. */
  onBroken: (peer: string) => void;
}

/** The sending half. */
export class GossipStreams {
  readonly #options: GossipStreamsOptions;
  readonly #all = new Map<string, Outgoing>();
  #stopped = false;

  constructor(options: GossipStreamsOptions) {
    this.#options = options;
  }

  send(peer: string, message: Uint8Array): void {
    if (this.#stopped) return;
    let out = this.#all.get(peer);
    if (out === undefined) {
      out = { stream: undefined, waiting: [] };
      this.#all.set(peer, out);
      void this.#open(peer, out);
    }
    if (out.stream === undefined) {
      if (out.waiting.length < STREAMS.waiting) out.waiting.push(message);
    } else if (out.stream.queuedBytes < STREAMS.queuedBytes)
      void out.stream.send(message);
  }

  close(peer: string): void {
    const out = this.#all.get(peer);
    this.#all.delete(peer);
    out?.stream?.abort(new ShoalError("ABORTED", "the neighbour is gone"));
  }

  stop(): void {
    this.#stopped = true;
    for (const { stream } of this.#all.values())
      void stream?.close().catch(() => {});
    this.#all.clear();
  }

  async #open(peer: string, out: Outgoing): Promise<void> {
    const { host, cluster, onRefused, onForeign, onBroken } = this.#options;
    try {
      const stream = await host.openStream(peer, GOSSIP_PROTOCOL, {
        maxFrameBytes: MAX_GOSSIP_BYTES,
        timeoutMs: STREAMS.openMs,
      });
      if (this.#all.get(peer) !== out) {
        stream.abort(new ShoalError("ABORTED", "the neighbour is gone"));
        return;
      }
      stream.onFrame(() => {}); // nothing is answered
      const openedMs = performance.now();
      stream.onClose((error) => {
        if (this.#all.get(peer) !== out) return;
        this.#all.delete(peer);
        const isSettled = performance.now() - openedMs > STREAMS.settledMs;
        if (error === undefined) onForeign(peer);
        else if (isSettled && !this.#stopped) onBroken(peer);
      });
      void stream.send(Buffer.from(cluster));
      for (const message of out.waiting) void stream.send(message);
      out.waiting = [];
      out.stream = stream;
    } catch (error) {
      if (this.#all.get(peer) === out) this.#all.delete(peer);
      if (!this.#stopped) onRefused(peer, error);
    }
  }
}

/** The receiving half, for all clusters of a process. Before the host starts. */
export function serveGossip(
  host: Pick<Host, "handleStreams">,
  clock: Clock,
  find: (
    cluster: string,
  ) =>
    | { gossip: (from: string, message: Uint8Array) => Promise<void> }
    | undefined,
): void {
  const { burst, perSecond } = STREAMS.rate;
  const rate = new PeerQuota(burst, perSecond, clock);
  host.handleStreams(
    GOSSIP_PROTOCOL,
    (stream) => {
      let cluster: string | undefined;
      stream.onFrame(async (frame) => {
        if (cluster === undefined) {
          cluster = Buffer.from(frame).toString(
            "utf8",
            0,
            STREAMS.maxNameBytes,
          );
          return;
        }
        if (!rate.take(stream.peer))
          throw new ShoalError("RATE_LIMITED", "too much gossip, slow down", {
            peer: stream.peer,
          });
        const served = find(cluster);
        if (served === undefined) await stream.close();
        else await served.gossip(stream.peer, frame);
      });
    },
    {
      maxFrameBytes: MAX_GOSSIP_BYTES,
      maxStreamsPerPeer: STREAMS.perPeer,
    },
  );
}
