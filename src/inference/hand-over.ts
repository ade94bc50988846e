/**
 * How a session leaves a stage that drains, as its gateway directs it: the stage writes what it has, another holder of the same layers fetches
 * that while tokens go on, and only then the session is opened anew along the other one, which computes the few tokens since. Where it fails or
 * is late, the session ends at the stage when its time is over, and all is computed again.
 */
import { type Announcement, engineKind } from "../cluster/index.ts";
import { type EventSink, ShoalError, withDeadline } from "../lib/index.ts";
import type { Commands } from "../network/index.ts";
import {
  HAND_OVER_DEFAULTS,
  OFFER_SESSION,
  TAKE_SESSION,
} from "./hand-over-protocol.ts";
import { layersOf, type RouteStage } from "./route.ts";

/** One stage of a session that goes to another node. */
export interface Move {
  index: number;
  from: RouteStage;
  to: RouteStage;
}

export interface HandOverOptions {
  commands: Commands;
  events: EventSink;
  manifest: string;
  /** Its id, 32 hex digits. */
  session: string;
  /** What could be handed over now. */
  moves: () => Move[];
  /** Resolves with the cluster's next change, or when the signal aborts. */
  changed: (signal: AbortSignal) => Promise<void>;
  /** Default: HAND_OVER_DEFAULTS. */
  timeoutMs?: number;
}

export class HandOver implements Disposable {
  readonly #options: HandOverOptions;
  readonly #ended = new AbortController();
  #hasBegun = false;
  #moved: ShoalError | undefined;

  constructor(options: HandOverOptions) {
    this.#options = options;
  }

  /** A token came: from the first on there is something to hand over. Throws DRAINING when the session had better go on elsewhere. */
  onToken(): void {
    if (this.#moved !== undefined) throw this.#moved;
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    void this.#watch();
  }

  /** The session has ended. */
  [Symbol.dispose](): void {
    this.#ended.abort(new ShoalError("ABORTED", "the session has ended"));
  }

  async #watch(): Promise<void> {
    const { moves, changed } = this.#options;
    const { signal } = this.#ended;
    while (!signal.aborted) {
      const now = moves();
      if (now.length > 0) return await this.#move(now);
      await changed(signal);
    }
  }

  async #move(moves: readonly Move[]): Promise<void> {
    const tried = await Promise.all(moves.map((move) => this.#try(move)));
    const done = moves.filter((_, i) => tried[i] === true);
    const [first] = done;
    if (first === undefined) return;
    const { index: stage, from } = first;
    this.#moved = new ShoalError(
      "DRAINING",
      `stage ${stage} (${layersOf(from)}) is draining and has handed the session over`,
      { stage, to: done.map(({ to }) => to.peer) },
    );
  }

  async #try(move: Move): Promise<boolean> {
    const { signal } = this.#ended;
    const { events, timeoutMs = HAND_OVER_DEFAULTS.timeoutMs } = this.#options;
    const { index, from, to } = move;
    const what = `stage ${index} (${layersOf(from)}) drains`;
    events.info("SESSION", `${what}: handing the session over`, {
      from: from.peer,
      to: to.peer,
    });
    try {
      const what = "handing a session over";
      const run = (limited: AbortSignal): Promise<void> =>
        this.#handOver(move, limited);
      await withDeadline(timeoutMs, what, run, { signal });
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      const { code, message } = ShoalError.from(error);
      const why = `${what}, and its session was not handed over: ${message}`;
      events.warn("SESSION", why, { code });
      return false;
    }
  }

  async #handOver(
    { index, from, to }: Move,
    signal: AbortSignal,
  ): Promise<void> {
    const { commands, manifest, session } = this.#options;
    const { ticket } = await commands.call(
      { peerId: from.peer, addresses: from.addresses },
      OFFER_SESSION.name,
      { session, stage: index, to: to.peer },
      OFFER_SESSION.result,
      { signal },
    );
    for (let done = false; !done;)
      ({ done } = await commands.call(
        { peerId: to.peer, addresses: to.addresses },
        TAKE_SESSION.name,
        { manifest, from, ticket },
        TAKE_SESSION.result,
        { signal },
      ));
  }
}

/** Peers that have a session that failed with this. */
export function takenBy({ details: { to } }: ShoalError): string[] {
  return Array.isArray(to) ? to.map(String) : [];
}

/** Stages of `route` whose holder drains, and who takes their place along the route that would come `next`: it must have room, and compute the same bits. Pure. */
export function movesOf(
  route: readonly RouteStage[],
  holders: readonly Announcement[],
  next: (leaving: ReadonlySet<string>) => readonly RouteStage[] | undefined,
): Move[] {
  const leaving = route.map((stage) => {
    const holder = holderOf(holders, stage);
    return holder?.state === "draining" ? holder : undefined;
  });
  const peers = leaving.flatMap((holder) => holder?.peer ?? []);
  if (peers.length === 0) return [];
  const stages = next(new Set(peers)) ?? [];
  return route.flatMap((from, index) => {
    const before = leaving[index];
    const to = stages.find((stage) => isSameRange(stage, from));
    const after = to && holderOf(holders, to);
    return to !== undefined &&
      before?.engine !== undefined &&
      after?.engine !== undefined &&
      after.sessions.active < after.sessions.max &&
      engineKind(before.engine) === engineKind(after.engine)
      ? [{ index, from, to }]
      : [];
  });
}

function holderOf(
  holders: readonly Announcement[],
  stage: RouteStage,
): Announcement | undefined {
  return holders.find(
    (one) => one.peer === stage.peer && isSameRange(one, stage),
  );
}

type Range = Pick<RouteStage, "layerStart" | "layerEnd">;

function isSameRange(a: Range, b: Range): boolean {
  return a.layerStart === b.layerStart && a.layerEnd === b.layerEnd;
}
