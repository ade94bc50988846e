/**
 * Shards that this node gave up, because its engine failed with them again and again. It takes such a shard again only after a while, for longer each time;
 * meanwhile it may compute another. They are kept in the state folder, so that `shoal doctor` can tell of them after the node has ended, too.
 */
import { mkdir, rm } from "node:fs/promises";
import { writeAtomically } from "../gguf/index.ts";
import {
  type Clock,
  type EventSink,
  formatDuration,
  ShoalError,
  systemClock,
} from "../lib/index.ts";
import type { LayerRange } from "../model/index.ts";
import { givenUpPath, type GivenUpStatus } from "../status/index.ts";
import type { PlannedShard } from "../weights/index.ts";

export interface SetAsideOptions {
  clock?: Clock;
  events: EventSink;
  stateDir: string;
}

const SET_ASIDE = Object.freeze({
  /** Another program's need of memory may be over by then. */
  firstMs: 600_000,
  mostMs: 7_200_000,
});

type GivenUp = Pick<PlannedShard, "number" | "range"> & {
  manifest: { name: string };
};

/** As a status has it. */
const MAX_REASON_CHARS = 512;

interface Entry {
  status: GivenUpStatus;
  waitMs: number;
  /** It is computed again; the next time takes longer all the same. */
  isHeld: boolean;
}

export class SetAside {
  readonly #options: SetAsideOptions;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  #written: Promise<void>;

  /** What an earlier run gave up is tried again. */
  constructor(options: SetAsideOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#written = rm(givenUpPath(options.stateDir), { force: true }).catch(
      () => {}, // whoever writes it says more
    );
  }

  add({ number, range, manifest }: GivenUp, error: ShoalError): void {
    const { firstMs, mostMs } = SET_ASIDE;
    const before = this.#entries.get(keyOf(range))?.waitMs ?? 0;
    const waitMs = Math.min(mostMs, 2 * before || firstMs);
    const sinceMs = this.#clock.now();
    this.#entries.set(keyOf(range), {
      status: {
        ...number,
        ...range,
        model: manifest.name,
        reason: error.message.slice(0, MAX_REASON_CHARS),
        sinceMs,
        untilMs: sinceMs + waitMs,
      },
      waitMs,
      isHeld: false,
    });
    this.#write();
    const { index, count } = number;
    const what = `gives up shard ${index}/${count} for ${formatDuration(waitMs)}: ${error.message}`;
    this.#options.events.error("SHARD", what, { code: error.code });
  }

  /** Not to be taken now. */
  has(range: LayerRange): boolean {
    const entry = this.#entries.get(keyOf(range));
    return entry !== undefined && this.#clock.now() < entry.status.untilMs;
  }

  /** The shard is loaded. */
  holds(range: LayerRange): void {
    const entry = this.#entries.get(keyOf(range));
    if (entry === undefined) return;
    entry.isHeld = true;
    this.#write();
  }

  list(): GivenUpStatus[] {
    return [...this.#entries.values()]
      .filter(({ isHeld }) => !isHeld)
      .map(({ status }) => status);
  }

  /** Why there is no shard, in words. */
  reason(): string | undefined {
    const [last] = this.list().toSorted((a, b) => b.sinceMs - a.sinceMs);
    if (last === undefined) return undefined;
    const { index, count, layerStart, layerEnd, reason, untilMs } = last;
    const leftMs = untilMs - this.#clock.now();
    const again = leftMs > 0 ? ` (again in ${formatDuration(leftMs)})` : "";
    return `gave up shard ${index} of ${count} (layers ${layerStart}-${layerEnd - 1})${again}: ${reason}`;
  }

  /** Resolves when what happened so far is kept. */
  async kept(): Promise<void> {
    await this.#written;
  }

  #write(): void {
    const { stateDir, events } = this.#options;
    const text = Buffer.from(JSON.stringify(this.list()));
    this.#written = this.#written
      .then(async () => {
        await mkdir(stateDir, { recursive: true });
        const path = givenUpPath(stateDir);
        await writeAtomically(path, {}, (output) => output.write(text));
      })
      .catch((error: unknown) => {
        const { code, message } = ShoalError.from(error);
        const what = `could not keep what was given up: ${message}`;
        events.warn("SHARD", what, { code });
      });
  }
}

function keyOf({ layerStart, layerEnd }: LayerRange): string {
  return `${layerStart}-${layerEnd}`;
}
