/**
 * A node's side of a hand-over whose layers another one had: it fetches the state that the gateway of a session told it of. Only from a holder of
 * the same layers in its own cluster, of the same kind of engine; and only this gateway's sessions go on from it.
 */
import { rm } from "node:fs/promises";
import { type Announcement, engineKind } from "../cluster/index.ts";
import {
  computeModeOf,
  type EventSink,
  sameComputeMode,
  ShoalError,
  withDeadline,
} from "../lib/index.ts";
import type { Commands } from "../network/index.ts";
import { fetchKept, type KeptSource } from "./fetch-kept.ts";
import {
  GET_KEPT,
  HAND_OVER_DEFAULTS,
  TAKE_SESSION,
  type TakeParams,
} from "./hand-over-protocol.ts";
import type { Held } from "./stage-session.ts";

export interface TakingOptions {
  commands: Commands;
  events: EventSink;
  peer: string;
  /** The loaded shard of these layers. */
  heldOf: (manifest: string, range: TakeParams["from"]) => Held | undefined;
  /** The records that this node knows of its cluster, its own among them. */
  members: () => readonly Announcement[];
}

/** A state that is being fetched. */
interface Fetch {
  readonly fetched: Promise<void>;
  readonly stop: AbortController;
  /** It reserves so much disk. */
  bytes: number;
  unasked: NodeJS.Timeout | undefined;
}

export class Taking {
  readonly #options: TakingOptions;
  /** By gateway and ticket. */
  readonly #fetches = new Map<string, Fetch>();

  /** Before the host starts. */
  constructor(options: TakingOptions) {
    this.#options = options;
    options.commands.handle(
      TAKE_SESSION.name,
      TAKE_SESSION.params,
      async (params, { peer }) => ({ done: await this.#take(params, peer) }),
    );
  }

  stop(): void {
    for (const { stop } of this.#fetches.values())
      stop.abort(new ShoalError("ABORTED", "the node is stopping"));
  }

  /** Whether it has all. */
  async #take(params: TakeParams, gateway: string): Promise<boolean> {
    const key = `${gateway}/${params.ticket}`;
    const fetch = this.#fetches.get(key) ?? this.#begin(key, params, gateway);
    const { answerMs, unaskedMs } = HAND_OVER_DEFAULTS;
    clearTimeout(fetch.unasked);
    const { promise: late, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => resolve(false), answerMs);
    let done = true;
    try {
      done = await Promise.race([fetch.fetched.then(() => true), late]);
      return done;
    } finally {
      clearTimeout(timer);
      if (done) this.#fetches.delete(key);
      else
        fetch.unasked = setTimeout(() => {
          this.#fetches.delete(key);
          fetch.stop.abort(new ShoalError("ABORTED", "nobody asks for it"));
        }, unaskedMs).unref();
    }
  }

  #begin(key: string, params: TakeParams, gateway: string): Fetch {
    const { manifest, from } = params;
    const held = this.#options.heldOf(manifest, from);
    if (held === undefined || held.draining)
      throw new ShoalError("DRAINING", "these layers take no session here");
    if (!mayGive(this.#options.members(), this.#options.peer, params))
      throw new ShoalError(
        "COMMAND_UNAUTHORIZED",
        "only another holder of the same layers hands sessions over",
      );
    if (this.#fetches.size >= HAND_OVER_DEFAULTS.atOnce)
      throw new ShoalError("BUSY", "too many sessions are being handed over");
    const stop = new AbortController();
    const fetch: Fetch = {
      fetched: this.#fetch(
        held,
        params,
        gateway,
        (bytes) => {
          this.#refuseTooMuch(held, bytes);
          fetch.bytes = bytes;
        },
        stop.signal,
      ),
      stop,
      bytes: 0,
      unasked: undefined,
    };
    fetch.fetched.catch(() => {}); // whoever asks hears of it
    this.#fetches.set(key, fetch);
    return fetch;
  }

  async #fetch(
    held: Held,
    { from, ticket }: TakeParams,
    gateway: string,
    onSize: (bytes: number) => void,
    stopped: AbortSignal,
  ): Promise<void> {
    const { commands, events } = this.#options;
    const { info } = held.engine;
    if (info?.kept === undefined)
      throw new ShoalError("DISK_FULL", "this node keeps no sessions on disk");
    const { timeoutMs, pieceTimeoutMs } = HAND_OVER_DEFAULTS;
    const startedMs = performance.now();
    const target = { peerId: from.peer, addresses: from.addresses };
    let packedBytes = 0;
    const sourceWith = (signal: AbortSignal): KeptSource => ({
      piece: async (of, offset) => {
        const { result, attachment } = await commands.callAttached(
          target,
          GET_KEPT.name,
          { ticket, of, offset },
          GET_KEPT.result,
          { timeoutMs: pieceTimeoutMs, signal },
        );
        packedBytes += attachment.length;
        return { ...result, packed: attachment };
      },
    });
    const { kept: place, contextLength } = info;
    const { path, facts } = await withDeadline(
      timeoutMs,
      "fetching a session's keys and values",
      (signal) =>
        fetchKept(sourceWith(signal), { place, contextLength, onSize, signal }),
      { signal: stopped },
    );
    try {
      const owned = { ...facts, owner: gateway };
      await held.engine.adoptSession(path, owned);
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
    events.info("SESSION", "keys and values were handed over to this node", {
      peer: from.peer,
      bytes: facts.bytes,
      packedBytes,
      ms: Math.round(performance.now() - startedMs),
    });
  }

  /** All that come at once share what may be kept. */
  #refuseTooMuch({ engine }: Held, bytes: number): void {
    let sum = bytes;
    for (const fetch of this.#fetches.values()) sum += fetch.bytes;
    if (sum > (engine.info?.kept?.bytes ?? 0))
      throw new ShoalError("DISK_FULL", "more is being handed over than fits");
  }
}

/** Another holder of the same layers, that computes the same bits, as far as the cluster knows. */
export function mayGive(
  members: readonly Announcement[],
  own: string,
  { manifest, from }: TakeParams,
): boolean {
  const holderOf = (peer: string): Announcement | undefined =>
    members.find(
      (a) =>
        a.peer === peer &&
        a.manifest === manifest &&
        a.layerStart === from.layerStart &&
        a.layerEnd === from.layerEnd,
    );
  const [giver, taker] = [holderOf(from.peer), holderOf(own)];
  return (
    giver?.engine !== undefined &&
    taker?.engine !== undefined &&
    giver !== taker &&
    giver.state !== "gone" &&
    engineKind(giver.engine) === engineKind(taker.engine) &&
    sameComputeMode(computeModeOf(giver), computeModeOf(taker))
  );
}
