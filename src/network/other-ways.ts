/**
 * Ways to a peer besides its addresses, such as hole punching. They start a moment after the dial of its addresses, or at once when all of
 * those have failed; whatever connects first counts. If nothing does, the addresses' errors are what the caller gets.
 */
import type { Connection } from "@libp2p/interface";
import { abortable, sleep } from "../lib/index.ts";
import { dialFailed } from "./failures.ts";

/** Addresses that answer do so within this: a handshake around the world takes half of it. */
const OTHER_WAYS_AFTER_MS = 750;

/** Resolves once a connection to the peer is open, or rejects. */
export type OtherWay = (peer: string, signal: AbortSignal) => Promise<void>;

export class OtherWays {
  readonly #ways = new Set<OtherWay>();

  /** Returns the function that removes it. */
  add(way: OtherWay): () => void {
    this.#ways.add(way);
    return () => this.#ways.delete(way);
  }

  /** The connection that `dial` makes, or the one that `open` finds after another way succeeded. `dial`'s signal aborts once it is late. */
  async race(
    peer: string | undefined,
    signal: AbortSignal,
    dial: (signal: AbortSignal) => Promise<Connection>,
    open: (peer: string) => Connection | undefined,
  ): Promise<Connection> {
    if (peer === undefined || this.#ways.size === 0) return await dial(signal);
    const late = new AbortController();
    const limited = AbortSignal.any([signal, late.signal]);
    const dialled = dial(limited);
    const otherwise = this.#otherwise(peer, dialled, limited, open);
    try {
      return await Promise.any([dialled, otherwise]);
    } catch {
      return await dialled;
    } finally {
      late.abort(dialFailed("another way was faster", { peer }));
    }
  }

  async #otherwise(
    peer: string,
    dialled: Promise<Connection>,
    signal: AbortSignal,
    open: (peer: string) => Connection | undefined,
  ): Promise<Connection> {
    const failed = Promise.withResolvers<void>();
    dialled.catch(() => failed.resolve());
    await Promise.race([failed.promise, sleep(OTHER_WAYS_AFTER_MS, signal)]);
    signal.throwIfAborted();
    const asked = [...this.#ways].map((way) => way(peer, signal));
    await abortable(Promise.any(asked), signal);
    const connection = open(peer);
    if (connection !== undefined) return connection;
    throw dialFailed("the connection closed at once", { peer });
  }
}
