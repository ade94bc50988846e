/** Pairs of data connections over loopback, in one process and on one poller, as tests of the room `ring` want them. */
import { randomBytes } from "node:crypto";
import type { ShoalError } from "../../src/lib/index.ts";
import {
  DataConnection,
  DataListener,
  Poller,
  ringKeys,
  type RingKeys,
} from "../../src/ring/index.ts";

export interface KeyPair {
  id: Uint8Array;
  dialer: RingKeys;
  listener: RingKeys;
}

/** Random keys of both sides of a new connection. */
export function keyPair(): KeyPair {
  const id = randomBytes(16);
  const o = {
    connection: id,
    dialer: { peer: "dialer", secret: randomBytes(32) },
    listener: { peer: "listener", secret: randomBytes(32) },
  };
  return {
    id,
    dialer: ringKeys({ ...o, isDialer: true }),
    listener: ringKeys({ ...o, isDialer: false }),
  };
}

/** One end, and what happened to it. */
export interface End {
  connection: DataConnection;
  frames: Buffer[];
  error: ShoalError | undefined;
}

/** Keeps what arrives at `connection`. */
export function recorded(connection: DataConnection): End {
  const end: End = { connection, frames: [], error: undefined };
  connection.onFrame = (frame) => end.frames.push(Buffer.from(frame));
  connection.onClosed = (error) => {
    if (end.error) throw new Error("closed twice");
    end.error = error;
  };
  return end;
}

/** A listener on 127.0.0.1 that expects the connections it is told. */
export class Place implements Disposable {
  readonly poller = new Poller();
  readonly listener = new DataListener("127.0.0.1", 0);
  readonly expected = new Map<string, RingKeys>();
  /** What the listener accepted, by the connection's id in hex. */
  readonly accepted = new Map<string, End>();
  readonly #ends: End[] = [];

  constructor() {
    this.poller.watch(this.listener.fd, () =>
      this.listener.onReadable(
        this.poller,
        (id) => {
          const keys = this.expected.get(hex(id));
          this.expected.delete(hex(id));
          return keys;
        },
        (connection, id) => {
          const end = recorded(connection);
          this.#ends.push(end);
          this.accepted.set(hex(id), end);
        },
      ),
    );
  }

  dial(id: Uint8Array, keys: RingKeys, port = this.listener.port): End {
    const { poller } = this;
    const end = recorded(
      DataConnection.dial({
        host: "127.0.0.1",
        port,
        id,
        keys,
        poller,
        timeoutMs: 1000,
      }),
    );
    this.#ends.push(end);
    return end;
  }

  /** Both ends of a connection that is open. */
  pair(): [dialer: End, listener: End] {
    const keys = keyPair();
    this.expected.set(hex(keys.id), keys.listener);
    const dialer = this.dial(keys.id, keys.dialer);
    this.until(() => dialer.connection.isOpen);
    return [dialer, this.accepted.get(hex(keys.id))!];
  }

  /** Runs the poller until `condition` holds. */
  until(condition: () => boolean, withinMs = 5000): void {
    const end = performance.now() + withinMs;
    while (!condition()) {
      if (performance.now() > end)
        throw new Error(`not within ${withinMs} ms: ${String(condition)}`);
      this.poller.wait(20);
    }
  }

  [Symbol.dispose](): void {
    for (const { connection } of this.#ends) connection.close();
    this.poller.unwatch(this.listener.fd);
    this.listener.close();
  }
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
