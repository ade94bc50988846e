/** A peer as a source: one stream to it for all downloads, opened when the first one needs it and closed when none does. */
import { ShoalError, type Clock } from "../lib/index.ts";
import type { Host } from "../network/index.ts";
import { PeerLinks, type PeerLinksOptions } from "./peer-links.ts";
import type { PieceBuffers } from "./piece-buffers.ts";
import type { LinkListener, PeerSpec, Source, SourceLink } from "./source.ts";
import { DEFAULTS } from "./defaults.ts";
import type { Root } from "../store/index.ts";
import { MAX_ANSWER_BYTES, MAX_ASK_BYTES, TORRENT_PROTOCOL } from "./wire.ts";

export interface PeerSourceOptions {
  host: Pick<Host, "openStream">;
  clock: Clock;
  buffers: PieceBuffers;
  stallMs?: number | undefined;
  connectMs?: number | undefined;
  idleStreamMs?: number | undefined;
}

export class PeerSource implements Source {
  readonly id: string;
  #spec: PeerSpec;
  readonly #options: PeerSourceOptions;
  #links: Promise<PeerLinks> | undefined;
  #cancelIdle: () => void = () => {};
  readonly #closed = new AbortController();

  constructor(spec: PeerSpec, options: PeerSourceOptions) {
    this.id = spec.peerId;
    this.#spec = spec;
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#links !== undefined;
  }

  /** The address learned most recently is the better one. */
  learn(spec: PeerSpec): void {
    if ((spec.addresses?.length ?? 0) > 0) this.#spec = spec;
  }

  async open(
    root: Root,
    listener: LinkListener,
    signal: AbortSignal,
  ): Promise<SourceLink> {
    this.#cancelIdle();
    this.#links ??= this.#connect();
    const links = await this.#links;
    if (signal.aborted) {
      links.closeIfIdle();
      throw new ShoalError("ABORTED", "the download is over");
    }
    return links.open(root, listener);
  }

  close(): void {
    this.#cancelIdle();
    const error = new ShoalError("ABORTED", "transfers are stopping");
    this.#closed.abort(error);
    this.#links?.then(
      (links) => links.abort(error),
      () => {},
    );
  }

  async #connect(): Promise<PeerLinks> {
    const { host, clock, buffers } = this.#options;
    const { stallMs = DEFAULTS.stallMs } = this.#options;
    const { connectMs = DEFAULTS.connectMs } = this.#options;
    const { peerId, addresses = [] } = this.#spec;
    try {
      const stream = await host.openStream(
        { peerId, addresses },
        TORRENT_PROTOCOL,
        {
          maxFrameBytes: MAX_ANSWER_BYTES,
          maxSendFrameBytes: MAX_ASK_BYTES,
          reuseFrames: true,
          timeoutMs: connectMs,
          signal: this.#closed.signal,
        },
      );
      const options: PeerLinksOptions = {
        stream,
        clock,
        buffers,
        stallMs,
        onIdle: () => this.#onIdle(),
      };
      const links = new PeerLinks(options);
      stream.onClose(() => {
        this.#cancelIdle();
        this.#links = undefined;
      });
      return links;
    } catch (error) {
      this.#links = undefined;
      throw error;
    }
  }

  #onIdle(): void {
    const { clock, idleStreamMs = DEFAULTS.idleStreamMs } = this.#options;
    this.#cancelIdle();
    this.#cancelIdle = clock.after(idleStreamMs, () => {
      this.#links?.then(
        (links) => links.closeIfIdle(),
        () => {},
      );
    });
  }
}
