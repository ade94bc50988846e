/**
 * A small echo on every connection, every 2 s: it measures the round trip, and it notices what TCP does not, a peer that is
 * stopped or unreachable without having said goodbye.
 *
 * Why not libp2p's connection monitor: it aborts QUIC too, which has an idle timeout of its own in native threads, and it
 * takes a stall of this process for the death of all peers (measured: a block of 22 s lost every connection). Here a tick that
 * comes late forgives the time that passed, and only TCP and relayed connections are given up.
 *
 * Protocol /shoal/heartbeat/1.0.0: whatever arrives goes back unchanged. The connection's owner sends 8 bytes and waits for 8.
 */
import type { Connection, Stream, StreamMessageEvent } from "@libp2p/interface";
import { ShoalError } from "../lib/index.ts";
import { transportOf } from "./address.ts";
import { DEFAULTS } from "./defaults.ts";

export const HEARTBEAT_PROTOCOL = "/shoal/heartbeat/1.0.0";
const BEAT_BYTES = 8;
/** Beats that arrive faster than this many bytes in one piece are no heartbeat. */
const MAX_ECHO_BYTES = 1024;

export interface HeartbeatOptions {
  intervalMs?: number;
  silenceMs?: number;
}

/** Sends back what comes. */
export function echoHeartbeat(stream: Stream): void {
  stream.addEventListener("message", ({ data }) => {
    if (data.byteLength > MAX_ECHO_BYTES) {
      stream.abort(new Error("not a heartbeat"));
    } else if (stream.writeStatus === "writable") {
      stream.send(data);
    }
  });
  stream.addEventListener("remoteCloseWrite", () => {
    stream.close().catch(() => {});
  });
}

/** Watches one connection until it closes. */
export class Heartbeat {
  readonly #connection: Connection;
  readonly #intervalMs: number;
  readonly #silenceMs: number;
  #next: PromiseWithResolvers<number> | undefined;
  #stream: Stream | undefined;
  #opening = false;
  #supported = true;
  /** Since when an echo is missing. */
  #awaitingSinceMs: number | undefined;
  #sentAtMs = 0;
  #echoed = 0;
  #rttMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #tickDueMs = 0;
  #stopped = false;

  constructor(connection: Connection, options: HeartbeatOptions = {}) {
    this.#connection = connection;
    this.#intervalMs = options.intervalMs ?? DEFAULTS.heartbeatMs;
    this.#silenceMs = options.silenceMs ?? DEFAULTS.heartbeatSilenceMs;
  }

  /** Smoothed round trip; undefined before the first echo. */
  get rttMs(): number | undefined {
    return this.#rttMs;
  }

  /** The next round trip: proof that the peer answers now. Rejects if the connection closes before. */
  ping(): Promise<number> {
    if (!this.#supported)
      return Promise.reject(
        new ShoalError("PROTOCOL_UNSUPPORTED", "the peer has no heartbeat"),
      );
    this.#next ??= Promise.withResolvers();
    const { promise } = this.#next;
    promise.catch(() => {});
    this.#beat(performance.now());
    return promise;
  }

  start(): void {
    this.#tickDueMs = performance.now();
    this.#tick();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#next?.reject(
      new ShoalError("STREAM_CLOSED", "the connection closed"),
    );
  }

  #tick(): void {
    const now = performance.now();
    // This process was stalled, not the peer: its echo may be waiting to be read.
    const lateMs = now - this.#tickDueMs;
    if (lateMs > this.#intervalMs / 2 && this.#awaitingSinceMs !== undefined) {
      this.#awaitingSinceMs = Math.min(now, this.#awaitingSinceMs + lateMs);
    }
    if (
      this.#awaitingSinceMs !== undefined &&
      now - this.#awaitingSinceMs > this.#silenceMs
    ) {
      this.#onSilence();
    } else {
      this.#beat(now);
    }
    if (this.#stopped) return;
    // In time for the next beat, or for the end of our patience.
    const patienceMs =
      (this.#awaitingSinceMs ?? now) + this.#silenceMs + 1 - now;
    const waitMs = Math.max(1, Math.min(this.#intervalMs, patienceMs));
    this.#tickDueMs = now + waitMs;
    this.#timer = setTimeout(() => this.#tick(), waitMs).unref();
  }

  #beat(now: number): void {
    if (!this.#supported || this.#opening || this.#connection.status !== "open")
      return;
    const fresh = this.#awaitingSinceMs === undefined;
    this.#awaitingSinceMs ??= now;
    if (this.#stream?.status !== "open") {
      void this.#open();
    } else if (fresh) {
      this.#send(this.#stream);
    }
  }

  async #open(): Promise<void> {
    this.#opening = true;
    try {
      const stream = await this.#connection.newStream([HEARTBEAT_PROTOCOL], {
        signal: AbortSignal.timeout(this.#silenceMs),
        runOnLimitedConnection: true,
      });
      this.#stream = stream;
      stream.addEventListener("message", (event) => this.#onEcho(event));
      this.#send(stream);
    } catch (error) {
      if (error instanceof Error && error.name === "UnsupportedProtocolError") {
        // A peer of another kind; it has answered, so it lives.
        this.#supported = false;
        this.#awaitingSinceMs = undefined;
        this.#next?.reject(
          new ShoalError("PROTOCOL_UNSUPPORTED", "the peer has no heartbeat"),
        );
      }
    } finally {
      this.#opening = false;
    }
  }

  #send(stream: Stream): void {
    this.#sentAtMs = performance.now();
    this.#echoed = 0;
    try {
      stream.send(new Uint8Array(BEAT_BYTES));
    } catch {
      // Closed under our hands: the next tick opens another, silence goes on counting.
    }
  }

  #onEcho({ data }: StreamMessageEvent): void {
    this.#echoed += data.byteLength;
    if (this.#awaitingSinceMs === undefined || this.#echoed < BEAT_BYTES)
      return;
    const sampleMs = performance.now() - this.#sentAtMs;
    this.#awaitingSinceMs = undefined;
    // The gain of TCP's estimator (RFC 6298).
    this.#rttMs =
      this.#rttMs === undefined
        ? sampleMs
        : this.#rttMs + (sampleMs - this.#rttMs) / 8;
    this.#next?.resolve(sampleMs);
    this.#next = undefined;
  }

  #onSilence(): void {
    if (transportOf(this.#connection.remoteAddr.toString()) === "QUIC") {
      // QUIC knows that the process lives; only its event loop is late. Requests have deadlines of their own.
      this.#stream?.abort(new Error("no heartbeat"));
      this.#stream = undefined;
      this.#awaitingSinceMs = undefined;
      return;
    }
    this.#connection.abort(
      new ShoalError("DEADLINE", `no heartbeat for ${this.#silenceMs} ms`, {
        timeoutMs: this.#silenceMs,
      }),
    );
  }
}
