/**
 * Persistent frame streams to other peers, opened once and shared by all sessions. This node itself gets a link too; its frames never touch
 * the network.
 */
import type { FrameStream, Host } from "../network/index.ts";
import { isShoalError, settledWithin, ShoalError } from "../lib/index.ts";
import {
  decodeFrame,
  encodeFrame,
  type FrameHead,
  MAX_FRAME_BYTES,
  PIPELINE_PROTOCOL,
  type PipelineFrame,
} from "../ring/index.ts";

/** For the last frames to leave, also those to a peer that reads no more, or is still being dialled. */
const STOP_MS = 500;

/** A target for frames. `send` never throws: a lost link reports through `onLost`. */
export interface Link {
  readonly peer: string;
  send(head: FrameHead, ...body: Uint8Array[]): void;
  /** A whole frame, which belongs to the link from then on. */
  forward(frame: Uint8Array): void;
}

export type FrameHandler = (frame: PipelineFrame, from: Link) => void;

export interface LinksOptions {
  host: Host;
  /** What a peer sends back on a stream that we opened. */
  onFrame: FrameHandler;
  /** The stream to `peer` is gone; the next `to` opens another. */
  onLost: (peer: string, error: ShoalError) => void;
}

export class StreamLink implements Link {
  readonly peer: string;
  readonly stream: FrameStream;

  constructor(stream: FrameStream) {
    this.peer = stream.peer;
    this.stream = stream;
  }

  send(head: FrameHead, ...body: Uint8Array[]): void {
    this.forward(encodeFrame(head, ...body));
  }

  forward(frame: Uint8Array): void {
    // The stream bounds its own queue and aborts itself if the peer does not read; its close event shows that.
    Promise.resolve(this.stream.send(frame)).catch(() => {});
  }
}

/** Reads frames off a stream until it ends; a malformed one aborts the stream. */
export function readFrames(
  stream: FrameStream,
  link: Link,
  onFrame: FrameHandler,
): void {
  stream.onFrame((bytes) => {
    try {
      onFrame(decodeFrame(bytes), link);
    } catch (error) {
      stream.abort(isShoalError(error) ? error : ShoalError.from(error));
    }
  });
}

export class Links {
  #options: LinksOptions;
  #links = new Map<string, Promise<StreamLink>>();

  constructor(options: LinksOptions) {
    this.#options = options;
  }

  /** The link to `peer`, opened if necessary. Rejects with DIAL_FAILED, PROTOCOL_UNSUPPORTED or DEADLINE. */
  async to(
    peer: string,
    addresses: readonly string[],
    timeoutMs: number,
  ): Promise<Link> {
    const { host, onFrame } = this.#options;
    if (peer === host.peerId) return this.#toSelf();
    const known = this.#links.get(peer);
    if (known !== undefined && (await this.#isOutdone(known)))
      this.#forget(peer, known);
    let link = this.#links.get(peer);
    if (link === undefined) {
      const forget = (): void => this.#forget(peer, opening);
      const opening = this.#open(peer, addresses, timeoutMs, forget);
      link = opening;
      this.#links.set(peer, opening);
      opening.then(
        (opened) => readFrames(opened.stream, opened, onFrame),
        forget,
      );
    }
    return await link;
  }

  /** A direct connection came after one through a relay. What runs stays where it is; what begins goes the better way. */
  async #isOutdone(link: Promise<StreamLink>): Promise<boolean> {
    const { peer, stream } = await link;
    return (
      stream.transport === "relayed" &&
      this.#options.host
        .connections()
        .some((one) => one.peer === peer && one.transport !== "relayed")
    );
  }

  #forget(peer: string, link: Promise<StreamLink>): void {
    if (this.#links.get(peer) === link) this.#links.delete(peer);
  }

  async stop(): Promise<void> {
    const links = [...this.#links.values()];
    this.#links.clear();
    await settledWithin(
      STOP_MS,
      Promise.allSettled(
        links.map(async (link) => (await link).stream.close()),
      ),
    );
  }

  #toSelf(): Link {
    const { host, onFrame } = this.#options;
    const self: Link = {
      peer: host.peerId,
      send: (head, ...body) => self.forward(encodeFrame(head, ...body)),
      forward: (frame) =>
        queueMicrotask(() => onFrame(decodeFrame(frame), self)),
    };
    return self;
  }

  async #open(
    peer: string,
    addresses: readonly string[],
    timeoutMs: number,
    forget: () => void,
  ): Promise<StreamLink> {
    const stream = await this.#options.host.openStream(
      { peerId: peer, addresses: [...addresses] },
      PIPELINE_PROTOCOL,
      {
        maxFrameBytes: MAX_FRAME_BYTES,
        timeoutMs,
      },
    );
    stream.onClose((error) => {
      forget();
      this.#options.onLost(
        peer,
        error ??
          new ShoalError("STREAM_CLOSED", "the stream was closed", { peer }),
      );
    });
    return new StreamLink(stream);
  }
}
