/**
 * What a stage computed for sessions that ended: the next session that begins alike, or the same one along another route, goes on from there.
 * A session's keys and values stay where they are until their place is needed or the engine has nothing to do; then they become a file.
 */
import { ShoalError } from "../lib/index.ts";
import {
  checksum,
  type KeptFacts,
  type KeptFile,
  type KeptFiles,
  tokensOf,
} from "./kept-files.ts";
import {
  type KeptTokens,
  type KnownTokens,
  PREFIX_BLOCK,
  type PrefixRules,
  usablePrefix,
} from "./prefix-rules.ts";
import type { SentRows } from "./sent-rows.ts";
import type { Stage } from "./stage.ts";
import {
  fitState,
  type StateHead,
  stateHeadOf,
  stateSizeOf,
} from "./state-head.ts";

/** As long as a reply may wait for a stage that replaces a lost one, and some more: then what was sent on is of no use. */
const SENT_KEPT_MS = 120_000;
/** An engine that has nothing to do for this long writes what is parked. */
export const PARKED_MS = 500;
/** Entries in memory. The oldest give way; their files with them. */
const MOST_ENTRIES = 256;

/** What a stage tells of what it has for a session. */
export interface KeptPrefix {
  /** Positions that it need not compute again. */
  tokens: number;
  /** It can go on at any earlier position down to this one. */
  earliest: number;
  /** Of them, how many it can send to the next stage again. */
  sent: number;
}

export interface Kept extends KeptTokens {
  /** Of the session's rows, as they were sent on. */
  sent: SentRows | undefined;
  endedMs: number;
  /** The sequence that still has it, or where it was written. */
  sequence: number | undefined;
  file: KeptFile | undefined;
}

/** What a session could take over. */
export interface KeptMatch {
  kept: Kept;
  /** Positions that need not be computed again. */
  tokens: number;
}

/** What a session has computed. */
export interface Computed {
  readonly known: KnownTokens;
  readonly sent: SentRows | undefined;
  readonly owner: string | undefined;
}

export function describeMatch({ kept, tokens }: KeptMatch): KeptPrefix {
  const { earliest, sent } = kept;
  return {
    tokens,
    earliest: Math.min(tokens, earliest),
    sent: Math.min(tokens, sent?.length ?? 0),
  };
}

export class KeptSessions implements Disposable {
  readonly #stage: Stage;
  readonly #rules: PrefixRules;
  readonly #files: KeptFiles | undefined;
  /** Of what may be handed over; undefined: nothing may. */
  readonly #head: StateHead | undefined;
  #sizeOf: ((tokens: number) => number) | undefined;
  /** The last used last. */
  #entries: Kept[] = [];
  #parkedMs = 0;

  /** Without `files` only what is parked is kept. */
  constructor(stage: Stage, rules: PrefixRules, files: KeptFiles | undefined) {
    this.#stage = stage;
    this.#rules = rules;
    this.#files = files;
    this.#head = stateHeadOf(stage);
    for (const file of files?.open() ?? []) {
      if (file.tokens.length > stage.contextLength) files?.remove(file);
      else this.#addFile(file);
    }
  }

  /** Whether something waits to be written. */
  get hasParked(): boolean {
    return this.#entries.some(({ sequence }) => sequence !== undefined);
  }

  /** The session in `sequence` has ended; its keys and values stay there for now. */
  park(
    sequence: number,
    { known: { tokens, promptTokens }, sent, owner }: Computed,
    nowMs: number,
  ): void {
    this.#parkedMs = nowMs;
    for (const entry of this.#entries.slice())
      if (
        isStartOf(entry, tokens) &&
        entry.promptTokens <= promptTokens &&
        (owner === undefined || entry.owner === owner)
      )
        this.#forget(entry);
    this.#add({
      tokens,
      promptTokens,
      earliest: this.#stage.earliestOf(sequence, false),
      sent,
      endedMs: nowMs,
      sequence,
      file: undefined,
      owner,
    });
    this.#dropSent(nowMs);
  }

  /** Writes what a session that goes on in `sequence` has so far. Undefined where there is too little, or no room for it. */
  writeRunning(
    sequence: number,
    { known, owner }: Computed,
  ): KeptFile | undefined {
    if (this.#head === undefined || known.tokens.length < PREFIX_BLOCK)
      return undefined;
    const earliest = this.#stage.earliestOf(sequence, true);
    const file = this.#writeFile(sequence, { ...known, earliest, owner });
    if (file !== undefined) this.#addFile(file);
    return file;
  }

  /** Takes what another node handed over; throws where it is not as `facts` say, or of no use. */
  adopt(path: string, facts: KeptFacts): void {
    this.writeParked();
    this.#sizeOf ??= stateSizeOf(this.#stage);
    const tokens = tokensOf(facts)?.length ?? 0;
    const bytes = this.#sizeOf?.(tokens) ?? 0;
    if (
      this.#files === undefined ||
      this.#head === undefined ||
      !fitState(path, tokens, this.#head, bytes)
    )
      throw new ShoalError(
        "COMMAND_MALFORMED",
        "what was handed over is no state of such a stage",
      );
    const crc32 = bytes === facts.bytes ? facts.crc32 : checksum(path);
    this.#addFile(this.#files.adopt(path, { ...facts, bytes, crc32 }));
  }

  /** The longest that a session in `sequence`, opened by `gateway`, may take over. */
  find(
    wanted: KnownTokens,
    sequence: number,
    nowMs: number,
    gateway?: string,
  ): KeptMatch | undefined {
    this.#dropSent(nowMs);
    let best: KeptMatch | undefined;
    for (const kept of this.#entries) {
      if (kept.owner !== undefined && kept.owner !== gateway) continue;
      const isThere = kept.sequence === sequence;
      if (!isThere && this.#files === undefined) continue;
      const tokens = usablePrefix(kept, wanted, this.#rules);
      // A few tokens are computed as soon as they are read, unless they are there already.
      const least = isThere ? 1 : PREFIX_BLOCK;
      if (tokens >= least && tokens >= (best?.tokens ?? 0))
        best = { kept, tokens };
    }
    return best;
  }

  /** Puts the first `tokens` positions into the free `sequence`. False if they are not to be had any more. */
  give({ kept }: KeptMatch, sequence: number, tokens: number): boolean {
    const stage = this.#stage;
    if (kept.sequence === sequence) {
      this.#remove(kept);
      kept.sequence = undefined;
      kept.sent?.[Symbol.dispose]();
      kept.sent = undefined;
      if (stage.rewind(sequence, tokens)) return true;
      stage.freeSequence(sequence);
      return false;
    }
    if (kept.sequence !== undefined) this.#write(kept);
    const { file } = kept;
    this.free(sequence);
    if (file === undefined || this.#files?.use(file) !== true) {
      this.#forget(kept);
      return false;
    }
    this.#entries.push(...this.#entries.splice(this.#entries.indexOf(kept), 1));
    if (
      stage.load(sequence, file.path, file.bytes) &&
      stage.lengthOf(sequence) === kept.tokens.length &&
      (tokens === kept.tokens.length || stage.rewind(sequence, tokens))
    )
      return true;
    this.#forget(kept);
    stage.freeSequence(sequence);
    return false;
  }

  /** Makes room in `sequence`: what is parked there is written. */
  free(sequence: number): void {
    const parked = this.#entries.find((entry) => entry.sequence === sequence);
    if (parked !== undefined) this.#write(parked);
    this.#stage.freeSequence(sequence);
  }

  /** Writes all that is parked, but for what a session is about to take over: their memory is somebody else's now. */
  writeParked(except?: Kept): void {
    for (const entry of this.#entries.slice())
      if (entry.sequence !== undefined && entry !== except) this.#write(entry);
  }

  /** While the engine has nothing to do. */
  keepTime(nowMs: number): void {
    if (this.hasParked && nowMs - this.#parkedMs >= PARKED_MS)
      this.writeParked();
  }

  /** Gives all memory back; files stay. */
  [Symbol.dispose](): void {
    for (const { sent } of this.#entries) sent?.[Symbol.dispose]();
    this.#entries = [];
  }

  #write(entry: Kept): void {
    const { sequence } = entry;
    if (sequence === undefined) return;
    entry.sequence = undefined;
    entry.earliest = this.#stage.earliestOf(sequence, true);
    if (entry.tokens.length >= PREFIX_BLOCK)
      entry.file = this.#writeFile(sequence, entry);
    this.#stage.releasePages(sequence);
    if (entry.file === undefined) this.#forget(entry);
  }

  #writeFile(sequence: number, tokens: KeptTokens): KeptFile | undefined {
    const bytes = this.#stage.bytesOf(sequence);
    return this.#files?.add(tokens, bytes, (path) =>
      this.#stage.save(sequence, path),
    );
  }

  #addFile(file: KeptFile): void {
    const { tokens, promptTokens, earliest, owner } = file;
    const none = { sent: undefined, endedMs: 0, sequence: undefined };
    this.#add({ tokens, promptTokens, earliest, owner, ...none, file });
  }

  #add(entry: Kept): void {
    this.#entries.push(entry);
    if (this.#entries.length <= MOST_ENTRIES) return;
    const [oldest] = this.#entries;
    if (oldest !== undefined) this.#forget(oldest);
  }

  #forget(entry: Kept): void {
    this.#remove(entry);
    if (entry.sequence !== undefined) this.#stage.releasePages(entry.sequence);
    if (entry.file !== undefined) this.#files?.remove(entry.file);
    entry.sent?.[Symbol.dispose]();
    // A session that was opened to take it over finds nothing of it.
    entry.sequence = entry.file = entry.sent = undefined;
  }

  #remove(entry: Kept): void {
    this.#entries = this.#entries.filter((other) => other !== entry);
  }

  #dropSent(nowMs: number): void {
    for (const entry of this.#entries) {
      if (nowMs - entry.endedMs < SENT_KEPT_MS) continue;
      entry.sent?.[Symbol.dispose]();
      entry.sent = undefined;
    }
  }
}

function isStartOf({ tokens }: KnownTokens, other: Int32Array): boolean {
  if (tokens.length > other.length) return false;
  return tokens.every((token, i) => token === other[i]);
}
