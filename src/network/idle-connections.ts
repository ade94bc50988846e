/**
 * Closes idle connections. Transfers need them only while they run, and each costs heartbeats while it is open (seven TCP connections took
 * a quarter of an idle node's CPU time).
 */
import type { Connection } from "@libp2p/interface";
import { HEARTBEAT_PROTOCOL } from "./heartbeat.ts";

/** A connection ends after 1 to 1.5 times its idle time. */
const LOOKS = 2;

export class IdleConnections {
  readonly #idleMs: number;
  /** Since when it carried only heartbeats, in ms of process time. */
  readonly #idleSinceMs = new Map<Connection, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(idleMs: number) {
    this.#idleMs = idleMs;
  }

  add(connection: Connection): void {
    this.#idleSinceMs.set(connection, performance.now());
    this.#timer ??= setInterval(
      () => this.#look(),
      this.#idleMs / LOOKS,
    ).unref();
  }

  remove(connection: Connection): void {
    this.#idleSinceMs.delete(connection);
    if (this.#idleSinceMs.size === 0) this.stop();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    const now = performance.now();
    for (const [connection, sinceMs] of this.#idleSinceMs) {
      if (connection.streams.some((s) => s.protocol !== HEARTBEAT_PROTOCOL)) {
        this.#idleSinceMs.set(connection, now);
      } else if (now - sinceMs >= this.#idleMs) {
        // A caller that opens a stream at this very moment sees it closed, and dials again.
        connection.close().catch((error: Error) => connection.abort(error));
      }
    }
  }
}
