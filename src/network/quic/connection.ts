/** A QUIC connection and its streams as libp2p sees them. QUIC brings its own encryption and multiplexing. */
import {
  ConnectionClosedError,
  setMaxListeners,
  type CreateStreamOptions,
  type MessageStream,
  type MessageStreamDirection,
  type StreamMuxer,
  type StreamMuxerFactory,
} from "@libp2p/interface";
import {
  AbstractMultiaddrConnection,
  AbstractStreamMuxer,
  type AbstractMultiaddrConnectionInit,
  type SendResult,
} from "@libp2p/utils";
import { multiaddr } from "@multiformats/multiaddr";
import { raceSignal } from "race-signal";
import type { NativeConnection, NativeStream } from "./native.ts";
import { QuicStream } from "./stream.ts";

export interface QuicConnectionInit extends Omit<
  AbstractMultiaddrConnectionInit,
  "remoteAddr"
> {
  native: NativeConnection;
}

export class QuicConnection extends AbstractMultiaddrConnection {
  readonly #native: NativeConnection;

  constructor(init: QuicConnectionInit) {
    super({ ...init, remoteAddr: multiaddr(init.native.remoteMultiaddr()) });
    this.#native = init.native;
    this.#native.closed().then(
      () => this.onTransportClosed(),
      (error: Error) => this.onTransportClosed(error),
    );
  }

  sendData(): SendResult {
    throw new Error("a QUIC connection carries streams only");
  }

  sendReset(): void {
    this.#native.abort();
  }

  sendPause(): void {}
  sendResume(): void {}

  async sendClose(): Promise<void> {
    this.#native.abort();
  }
}

export class QuicMuxerFactory implements StreamMuxerFactory {
  readonly protocol = "/quic-v1";
  readonly #native: NativeConnection;

  constructor(native: NativeConnection) {
    this.#native = native;
  }

  createStreamMuxer(connection: MessageStream): StreamMuxer {
    return new QuicMuxer(connection, this.#native);
  }
}

class QuicMuxer extends AbstractStreamMuxer<QuicStream> {
  readonly #native: NativeConnection;
  readonly #closed = new AbortController();

  constructor(connection: MessageStream, native: NativeConnection) {
    super(connection, { protocol: "/quic-v1", name: "quic" });
    this.#native = native;
    setMaxListeners(Infinity, this.#closed.signal);
    void this.#acceptLoop();
  }

  /** Heeds the signal, because the binding waits without end when the peer's stream limit is reached. */
  async onCreateStream(options: CreateStreamOptions): Promise<QuicStream> {
    const signal =
      options.signal === undefined
        ? this.#closed.signal
        : AbortSignal.any([options.signal, this.#closed.signal]);
    const opening = this.#native.outboundStream();
    let late = false;
    opening.then(
      (native) => {
        if (late) discard(native);
      },
      () => {},
    );
    try {
      return this.#wrap(await raceSignal(opening, signal), "outbound");
    } catch (error) {
      late = true;
      throw error;
    }
  }

  onData(): void {}

  override async close(options?: { signal?: AbortSignal }): Promise<void> {
    try {
      await super.close(options);
    } finally {
      this.onTransportClosed(new ConnectionClosedError("connection closed"));
    }
  }

  override abort(error: Error): void {
    super.abort(error);
    this.#closed.abort();
  }

  /** A connection that ends closes its streams with an error, because none of them has ended cleanly. */
  override onTransportClosed(error?: Error): void {
    super.onTransportClosed(
      error ?? new ConnectionClosedError("connection lost"),
    );
    this.#closed.abort();
  }

  async #acceptLoop(): Promise<void> {
    try {
      while (this.status === "open") {
        const native = await this.#native.inboundStream();
        if (this.status === "open") {
          this.onRemoteStream(this.#wrap(native, "inbound"));
        } else {
          discard(native);
        }
      }
    } catch (error) {
      // The connection is over, and its `closed()` tells everyone.
      this.log("no more inbound streams - %e", error);
    }
  }

  #wrap(native: NativeStream, direction: MessageStreamDirection): QuicStream {
    const id = native.id();
    return new QuicStream({
      id,
      native,
      direction,
      log: this.log.newScope(`${direction}:${id}`),
    });
  }
}

function discard(native: NativeStream): void {
  void native.resetWrite();
  void native.stopRead();
}
