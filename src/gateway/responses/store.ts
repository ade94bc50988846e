/**
 * Responses that are kept, so that a later request goes on from one (`previous_response_id`) or reads it again. In memory only: with the
 * gateway they are gone. Each belongs to whom it was given, and to others it is not there.
 */
import type { Response } from "openai/resources/responses/responses";
import { ShoalError, type Clock } from "../../lib/index.ts";
import { invalid } from "../validate.ts";
import type { Item } from "./items.ts";

/** Since it was last used. A conversation that paused for longer is told whole again. */
export const KEEP_MS = 3_600_000;
/** Turns of some hundred conversations in an hour. */
export const MAX_KEPT = 4_096;
/** As much as sixteen of the largest bodies. */
export const MAX_KEPT_BYTES = 64 * 1024 * 1024;
/** JavaScript's strings take one or two bytes a character. */
const BYTES_PER_CHAR = 2;

export type WireResponse = Omit<Response, "output_text">;

export interface Kept {
  /** Whose it is. */
  owner: string;
  /** What was asked, without what came before it. */
  items: readonly Item[];
  response: WireResponse;
}

export class ResponseStore {
  #clock: Clock;
  /** The one not used for longest is first. */
  #kept = new Map<string, Kept & { bytes: number; usedMs: number }>();
  #bytes = 0;
  #endSweep = (): void => {};

  constructor({ clock }: { clock: Clock }) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#kept.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Makes room by forgetting what was not used for longest. One that is larger than all the room is not kept. */
  keep(kept: Kept): void {
    const bytes = BYTES_PER_CHAR * JSON.stringify(kept).length;
    if (bytes > MAX_KEPT_BYTES) return;
    const { id, previous_response_id: previous } = kept.response;
    this.#kept.set(id, { ...kept, bytes, usedMs: this.#clock.now() });
    this.#bytes += bytes;
    if (typeof previous === "string") this.#chain(previous, kept.owner);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= MAX_KEPT && this.#bytes <= MAX_KEPT_BYTES) break;
      this.#forget(oldest);
    }
    this.#sweepLater();
  }

  /** Throws NOT_FOUND. */
  get(id: string, owner: string): Kept {
    this.#sweep();
    const kept = this.#kept.get(id);
    if (kept?.owner !== owner) throw unknown(id);
    return kept;
  }

  /** Throws NOT_FOUND. */
  delete(id: string, owner: string): void {
    this.get(id, owner);
    this.#forget(id);
  }

  /** What was asked and answered up to this response, the oldest first. Throws REQUEST_INVALID if any of it is not kept. */
  before(id: string, owner: string): Item[] {
    this.#sweep();
    const chain = this.#chain(id, owner);
    const last = chain.at(-1)?.response.previous_response_id;
    if (chain.length === 0 || typeof last === "string") {
      const missing = chain.length === 0 ? id : last;
      throw invalid(
        "previous_response_id",
        `cannot be gone on from: ${quoted(missing ?? id)} is not kept here (any more)`,
      );
    }
    return chain.reverse().flatMap(allItems);
  }

  /** An item of any kept response. Throws REQUEST_INVALID. */
  item(id: string, owner: string): Item {
    this.#sweep();
    for (const kept of this.#kept.values()) {
      if (kept.owner !== owner) continue;
      const found = allItems(kept).find((item) => item.id === id);
      if (found !== undefined) return found;
    }
    throw invalid("input", `refers to ${quoted(id)}, which is not kept here`);
  }

  /** Nothing is forgotten by itself any more. */
  stop(): void {
    this.#endSweep();
  }

  /** A response and those before it, the newest first, as far as they are kept. All are used now; the oldest is forgotten last. */
  #chain(id: string, owner: string): Kept[] {
    const chain: Kept[] = [];
    let next: string | null | undefined = id;
    while (typeof next === "string" && chain.length < MAX_KEPT) {
      const kept = this.#kept.get(next);
      if (kept?.owner !== owner) break;
      this.#kept.delete(next);
      this.#kept.set(next, { ...kept, usedMs: this.#clock.now() });
      chain.push(kept);
      next = kept.response.previous_response_id;
    }
    return chain;
  }

  #forget(id: string): void {
    this.#bytes -= this.#kept.get(id)?.bytes ?? 0;
    this.#kept.delete(id);
  }

  #sweep(): void {
    const now = this.#clock.now();
    for (const [id, { usedMs }] of this.#kept) {
      if (now - usedMs < KEEP_MS) break;
      this.#forget(id);
    }
  }

  #sweepLater(): void {
    this.#endSweep();
    const [oldest] = this.#kept.values();
    if (oldest === undefined) return;
    const dueMs = oldest.usedMs + KEEP_MS - this.#clock.now();
    this.#endSweep = this.#clock.after(Math.max(dueMs, 0), () => {
      this.#sweep();
      this.#sweepLater();
    });
  }
}

/** Of what this gateway answers there are only such items. */
const allItems = ({ items, response: { output } }: Kept): Item[] =>
  items.concat(output as Item[]);

const quoted = (id: string): string => JSON.stringify(id.slice(0, 64));

function unknown(id: string): ShoalError {
  const message = `no response ${quoted(id)} is kept here (any more)`;
  return new ShoalError("NOT_FOUND", message);
}
