/**
 * A small echo on every connection, every 2 s. It measures the round trip and notices a peer that stopped or became unreachable without a
 * goodbye, which TCP does not.
 *
 * Why not libp2p's connection monitor: it also aborts QUIC, which has its own idle timeout in native threads, and it mistakes a stall of
 * this process for the death of all peers (measured: a stall of 22 s lost every connection). Here a late tick forgives the time that
 * passed, and only TCP and relayed connections are closed.
 *
 * Protocol /shoal/heartbeat/1.0.0: whatever arrives goes back unchanged. The connection's owner sends 8 bytes and waits for 8.
 */
import type { Connection, Stream, StreamMessageEvent } from "@libp2p/interface";
import { ShoalError } from "../lib/index.ts";
import { transportOf } from "./address.ts";
import { DEFAULTS } from "./defaults.ts";

export const HEARTBEAT_PROTOCOL = "/shoal/heartbeat/1.0.0";
const BEAT_BYTES = 8;
/** A beat every 2 s gives 5 of them; `ping` may add more. */
const MAX_SAMPLES = 16;
/** More bytes than this in one piece are not a heartbeat. */
const MAX_ECHO_BYTES = 1024;

export interface HeartbeatOptions {
  intervalMs?: number;
  silenceMs?: number;
  /** Whether an echo came between the two times on another connection to the same peer. */
  echoedBeside?: (fromMs: number, toMs: number) => boolean;
}

/** Sends back what arrives. */
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
  readonly #ownIntervalMs: number;
  #intervalMs: number;
  readonly #silenceMs: number;
  readonly #echoedBeside: (fromMs: number, toMs: number) => boolean;
  #next: PromiseWithResolvers<number> | undefined;
  #stream: Stream | undefined;
  #opening = false;
  #supported = true;
  /** Since when an echo has been missing. */
  #awaitingSinceMs: number | undefined;
  #sentAtMs = 0;
  #echoed = 0;
  #echoedAtMs = 0;
  #rttMs: number | undefined;
  readonly #recent = new RecentRoundTrips();
  #timer: NodeJS.Timeout | undefined;
  #tickDueMs = 0;
  #stopped = false;

  constructor(connection: Connection, options: HeartbeatOptions = {}) {
    this.#connection = connection;
    this.#ownIntervalMs = options.intervalMs ?? DEFAULTS.heartbeatMs;
    this.#intervalMs = this.#ownIntervalMs;
    this.#echoedBeside = options.echoedBeside ?? (() => false);
    this.#silenceMs = options.silenceMs ?? DEFAULTS.heartbeatSilenceMs;
  }

  /** Smoothed round trip; undefined before the first echo. */
  get rttMs(): number | undefined {
    return this.#rttMs;
  }

  /** The least of the last seconds: the link's own time, since load only adds. Undefined before the first echo. */
  get leastRttMs(): number | undefined {
    return this.#recent.least();
  }

  /** Other connections to the same peer are echoed on, and this one is not. */
  get isDoubtful(): boolean {
    const sinceMs = this.#awaitingSinceMs;
    if (sinceMs === undefined) return false;
    const now = performance.now();
    return now - sinceMs > this.#doubtMs && this.#echoedBeside(sinceMs, now);
  }

  /** Whether an echo came between the two times, lately. */
  echoedBetween(fromMs: number, toMs: number): boolean {
    return this.#recent.hasBetween(fromMs, toMs);
  }

  /** There are other connections to the peer, or no longer. */
  setBeside(isBeside: boolean): void {
    const { heartbeatBesideMs } = DEFAULTS;
    const beforeMs = this.#intervalMs;
    this.#intervalMs = isBeside
      ? Math.min(heartbeatBesideMs, this.#ownIntervalMs)
      : this.#ownIntervalMs;
    if (this.#intervalMs >= beforeMs || this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#tickAfter(this.#intervalMs);
  }

  /** The next round trip, which proves that the peer answers now. Rejects if the connection closes first. */
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
    // This process stalled, not the peer: the echo may be waiting to be read.
    const lateMs = now - this.#tickDueMs;
    if (lateMs > this.#intervalMs / 2 && this.#awaitingSinceMs !== undefined) {
      this.#awaitingSinceMs = Math.min(now, this.#awaitingSinceMs + lateMs);
    }
    const silentMs = now - (this.#awaitingSinceMs ?? now);
    if (silentMs > this.#silenceMs) this.#onSilence();
    else if (this.#isDeadBeside(now)) this.#abort(silentMs);
    else this.#beat(now);
    if (this.#stopped) return;
    // In time for the next beat or for the deadline.
    const patienceMs =
      (this.#awaitingSinceMs ?? now) + this.#silenceMs + 1 - now;
    this.#tickAfter(Math.max(1, Math.min(this.#intervalMs, patienceMs)));
  }

  #tickAfter(waitMs: number): void {
    this.#tickDueMs = performance.now() + waitMs;
    this.#timer = setTimeout(() => this.#tick(), waitMs).unref();
  }

  get #doubtMs(): number {
    return Math.max(DEFAULTS.doubtMs, 4 * (this.#rttMs ?? 0));
  }

  /** Nothing comes back, though the peer has echoed on another connection: well after this beat, so that it was no older one's echo. */
  #isDeadBeside(now: number): boolean {
    const sinceMs = this.#awaitingSinceMs;
    if (sinceMs === undefined || !this.#isQuic()) return false;
    const { silenceBesideMs, aliveBesideMs } = DEFAULTS;
    return (
      now - sinceMs > silenceBesideMs &&
      this.#echoedBeside(sinceMs + this.#doubtMs, now - aliveBesideMs)
    );
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
        // Another kind of peer; it answered, so it lives.
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
      // The stream closed meanwhile: the next tick opens another, and the silence keeps counting.
    }
  }

  #onEcho({ data }: StreamMessageEvent): void {
    this.#echoed += data.byteLength;
    if (this.#awaitingSinceMs === undefined || this.#echoed < BEAT_BYTES)
      return;
    const nowMs = performance.now();
    const sampleMs = nowMs - this.#sentAtMs;
    const sinceMs = nowMs - this.#echoedAtMs;
    this.#echoedAtMs = nowMs;
    this.#recent.add(sampleMs, nowMs);
    this.#awaitingSinceMs = undefined;
    this.#rttMs =
      this.#rttMs === undefined
        ? sampleMs
        : this.#rttMs + (sampleMs - this.#rttMs) * gain(sinceMs);
    this.#next?.resolve(sampleMs);
    this.#next = undefined;
  }

  #onSilence(): void {
    if (this.#isQuic()) {
      // QUIC knows that the process lives and only its event loop is late. Requests have their own deadlines.
      this.#stream?.abort(new Error("no heartbeat"));
      this.#stream = undefined;
      this.#awaitingSinceMs = undefined;
      return;
    }
    this.#abort(this.#silenceMs);
  }

  #abort(timeoutMs: number): void {
    const what = `no heartbeat for ${Math.round(timeoutMs)} ms`;
    this.#connection.abort(new ShoalError("DEADLINE", what, { timeoutMs }));
  }

  #isQuic(): boolean {
    return transportOf(this.#connection.remoteAddr.toString()) === "QUIC";
  }
}

/** Of TCP's estimator (RFC 6298), but the rarer the echoes, the more each of them counts: what is old says nothing of the link. */
export function gain(sinceMs: number): number {
  return Math.min(1, Math.max(1 / 8, sinceMs / DEFAULTS.roundTripAgeMs));
}

/** The round trips of the last seconds, or else the last one. */
export class RecentRoundTrips {
  #samples: { ms: number; atMs: number }[] = [];

  add(ms: number, atMs: number): void {
    const sinceMs = atMs - DEFAULTS.roundTripAgeMs;
    this.#samples = this.#samples.filter((sample) => sample.atMs > sinceMs);
    this.#samples.push({ ms, atMs });
    if (this.#samples.length > MAX_SAMPLES) this.#samples.shift();
  }

  hasBetween(fromMs: number, toMs: number): boolean {
    return this.#samples.some(({ atMs }) => atMs >= fromMs && atMs <= toMs);
  }

  least(): number | undefined {
    if (this.#samples.length === 0) return undefined;
    return Math.min(...this.#samples.map(({ ms }) => ms));
  }
}
