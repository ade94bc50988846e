/** The sources of one download: which are linked, which to retry, and what each has. */
import { isShoalError, ShoalError, type Clock } from "../lib/index.ts";
import { PieceSet, PIECE_BYTES, type Root } from "../store/index.ts";
import type { PiecePicker } from "./piece-picker.ts";
import {
  sourceIdOf,
  type LinkListener,
  type Source,
  type SourceLink,
  type SourceSpec,
} from "./source.ts";
import { isHostile, type SourcePool, type Standing } from "./source-pool.ts";
import { DEFAULTS } from "./defaults.ts";

export interface SourceState {
  readonly id: string;
  readonly source: Source;
  readonly standing: Standing;
  link: SourceLink | undefined;
  opening: boolean;
  /** It has no open piece: skipped until something changes. */
  nothingToAsk: boolean;
  /** Not asked before this. */
  pausedUntilMs: number;
  lostRaces: number;
  /** When it last had a turn, ms of the clock; 0: never. */
  triedMs: number;
  /** When its link opened, or when its last piece was verified. */
  usefulMs: number;
  /** One of its pieces was verified. */
  proven: boolean;
  /** Failed requests since then. */
  missed: number;
  /** Counted in the picker. */
  counted: PieceSet | undefined;
  expected: PieceSet | undefined;
}

export interface DownloadLinksOptions {
  root: Root;
  pool: SourcePool;
  clock: Clock;
  signal: AbortSignal;
  stallMs: number;
  /** There may be something to request. */
  onChange: () => void;
}

export class DownloadLinks implements LinkListener {
  readonly #options: DownloadLinksOptions;
  readonly #attached = new Map<string, SourceState>();
  #picker: PiecePicker | undefined;
  /** Known once the metadata is verified. */
  #sizeBytes: number | undefined;
  #closed = false;

  constructor(options: DownloadLinksOptions) {
    this.#options = options;
  }

  /** Linked ones. */
  get active(): SourceState[] {
    return [...this.#attached.values()].filter((a) => a.link !== undefined);
  }

  /**
   * Sources with only some pieces that deliver without delay: their present and expected pieces need not come from a seeder. So a seeder
   * uploads little more than each piece once, however many peers download.
   */
  expectedSoon(): (piece: number) => boolean {
    const quick = this.active.filter(({ link }) => {
      if (link?.have === undefined || link.have.isFull || link.waiting)
        return false;
      const rate = link.bytesPerSecond ?? Infinity;
      const bytes = link.outstandingBytes + PIECE_BYTES;
      return bytes / rate < DEFAULTS.quickMs / 1000;
    });
    return (piece) =>
      quick.some(
        ({ counted, expected }) =>
          counted?.has(piece) === true || expected?.has(piece) === true,
      );
  }

  add(spec: SourceSpec): void {
    const { pool } = this.#options;
    const id = sourceIdOf(spec);
    const known = this.#attached.get(id);
    // A peer's address may be new; an origin's ranges do not change.
    const source = pool.source(spec);
    if (this.#closed || known !== undefined || this.#isFull()) return;
    this.#attached.set(id, {
      id,
      source,
      standing: pool.standing(id),
      link: undefined,
      opening: false,
      nothingToAsk: false,
      pausedUntilMs: 0,
      lostRaces: 0,
      triedMs: 0,
      usefulMs: 0,
      proven: false,
      missed: 0,
      counted: undefined,
      expected: undefined,
    });
    this.openMore();
  }

  /** Opens links to sources that are due, the least recently used first. */
  openMore(): void {
    const now = this.#options.clock.now();
    const all = [...this.#attached.values()];
    const linked = all.filter((a) => a.link !== undefined || a.opening);
    const due = all.filter(
      ({ link, opening, standing }) =>
        link === undefined &&
        !opening &&
        standing.banned === undefined &&
        standing.retryAtMs <= now,
    );
    if (due.length === 0) return;
    const free = DEFAULTS.linksPerDownload - linked.length;
    const room = free + this.#makeRoom(due.length - free, now);
    const next = due.toSorted((a, b) => a.triedMs - b.triedMs).slice(0, room);
    for (const attached of next) void this.#open(attached);
  }

  /** Closes up to `wanted` links that were useless recently. That is no fault: they get another turn. Returns how many. */
  #makeRoom(wanted: number, now: number): number {
    if (wanted <= 0) return 0;
    const idle = this.active.filter((attached) => this.#isIdle(attached, now));
    const ended = idle
      .toSorted((a, b) => a.usefulMs - b.usefulMs)
      .slice(0, wanted);
    for (const attached of ended) {
      attached.link?.close();
      attached.link = undefined;
      this.#uncount(attached);
    }
    return ended.length;
  }

  #isIdle({ link, usefulMs }: SourceState, now: number): boolean {
    if (link === undefined) return false;
    const { stallMs } = this.#options;
    if (now - usefulMs >= DEFAULTS.idleStalls * stallMs) return true;
    const heardMs = Math.max(usefulMs, link.lastDataMs);
    return !link.waiting && now - heardMs >= stallMs;
  }

  /** From here on the sources' pieces are counted. */
  count(picker: PiecePicker, sizeBytes: number): void {
    this.#picker = picker;
    this.#sizeBytes = sizeBytes;
    for (const { link } of this.active) {
      if (link?.have !== undefined) this.onHave(link, link.have, true);
    }
  }

  /** A requested piece is open again. */
  resumeAsking(): void {
    for (const attached of this.#attached.values())
      attached.nothingToAsk = false;
  }

  /** The link is abandoned; the source is tried again later. */
  /** It delivered a piece that was right. */
  delivered(attached: SourceState, nowMs: number): void {
    attached.lostRaces = 0;
    attached.proven = true;
    attached.missed = 0;
    attached.usefulMs = nowMs;
    this.#options.pool.delivered(attached.id);
  }

  /** Another source delivered the same piece first. */
  lostRace(attached: SourceState): void {
    if (++attached.lostRaces < DEFAULTS.lostRaces) return;
    const why = `${attached.id} is slower than the others`;
    this.drop(attached, new ShoalError("DEADLINE", why));
  }

  drop(attached: SourceState, error: ShoalError): void {
    const { link } = attached;
    if (link === undefined) return;
    link.close();
    this.#onLost(attached, error);
  }

  /** Banned by another download. */
  dropBanned(id: string): void {
    const attached = this.#attached.get(id);
    if (attached?.standing.banned !== undefined)
      this.drop(attached, attached.standing.banned);
  }

  /** Closes for good; a link that is opening is closed once open. */
  close(): void {
    this.#closed = true;
    for (const attached of this.#attached.values()) {
      attached.link?.close();
      attached.link = undefined;
    }
    this.#attached.clear();
  }

  // told by the links

  onChange(link: SourceLink): void {
    const attached = this.#of(link);
    if (attached === undefined) return;
    if (link.have === undefined) this.#uncount(attached);
    this.#options.onChange();
  }

  onHave(link: SourceLink, pieces: Iterable<number>, verified: boolean): void {
    const attached = this.#of(link);
    if (attached === undefined) return;
    attached.nothingToAsk = false;
    if (this.#picker !== undefined && link.have !== undefined) {
      if (link.sizeBytes !== this.#sizeBytes) {
        this.drop(
          attached,
          new ShoalError(
            "CONTENT_INVALID",
            `${attached.id} claims ${link.sizeBytes ?? 0} bytes; the content has ${this.#sizeBytes ?? 0}`,
            { source: attached.id },
          ),
        );
        return;
      }
      this.#count(attached, link.have, pieces, verified);
    }
    this.#options.onChange();
  }

  onClosed(link: SourceLink, error: ShoalError): void {
    const attached = this.#of(link);
    if (attached !== undefined) this.#onLost(attached, error);
  }

  /** The source turned out not to have it. */
  uncountPiece(attached: SourceState, piece: number): void {
    if (attached.counted?.delete(piece) === true)
      this.#picker?.change(piece, -1);
  }

  async #open(attached: SourceState): Promise<void> {
    const { root, signal } = this.#options;
    attached.opening = true;
    attached.triedMs = this.#options.clock.now();
    try {
      const link = await attached.source.open(root, this, signal);
      attached.opening = false;
      if (this.#isOver() || attached.standing.banned !== undefined) {
        link.close();
        return;
      }
      attached.link = link;
      attached.usefulMs = this.#options.clock.now();
      attached.nothingToAsk = false;
      if (link.have !== undefined) this.onHave(link, link.have, true);
    } catch (error) {
      attached.opening = false;
      if (!this.#isOver()) this.#onLost(attached, ShoalError.from(error));
    }
  }

  #onLost(attached: SourceState, error: ShoalError): void {
    const { pool, root } = this.#options;
    attached.link = undefined;
    attached.lostRaces = 0;
    this.#uncount(attached);
    if (isHostile(error)) pool.ban(attached.id, root, error);
    else if (!isShoalError(error, "SOURCE_BANNED"))
      pool.failed(attached.id, error);
    this.#options.onChange();
  }

  #of(link: SourceLink): SourceState | undefined {
    const attached = this.#attached.get(link.sourceId);
    return attached?.link === link ? attached : undefined;
  }

  #isOver(): boolean {
    return this.#closed || this.#options.signal.aborted;
  }

  #isFull(): boolean {
    if (this.#attached.size < DEFAULTS.sourcesPerDownload) return false;
    // A source that never answered makes room.
    for (const [id, { link, opening, standing }] of this.#attached) {
      if (link === undefined && !opening && standing.failures > 0) {
        this.#attached.delete(id);
        return false;
      }
    }
    return true;
  }

  // availability

  #count(
    attached: SourceState,
    have: PieceSet,
    pieces: Iterable<number>,
    verified: boolean,
  ): void {
    const picker = this.#picker;
    attached.counted ??= new PieceSet(have.size);
    attached.expected ??= new PieceSet(have.size);
    const { counted, expected } = attached;
    for (const piece of pieces) {
      if (!verified) {
        if (!counted.has(piece) && expected.add(piece))
          picker?.change(piece, 1);
      } else if (counted.add(piece) && !expected.delete(piece)) {
        picker?.change(piece, 1);
      }
    }
  }

  #uncount(attached: SourceState): void {
    for (const set of [attached.counted, attached.expected]) {
      for (const piece of set ?? []) this.#picker?.change(piece, -1);
    }
    attached.counted = attached.expected = undefined;
  }
}

/** Adds each source as it comes, until the signal. Rejects with what the iterable throws. */
export async function takeAll(
  sources: Iterable<SourceSpec> | AsyncIterable<SourceSpec>,
  signal: AbortSignal,
  add: (spec: SourceSpec) => void,
): Promise<void> {
  for await (const spec of sources) {
    if (signal.aborted) return;
    add(spec);
  }
}
