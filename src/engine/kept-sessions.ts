/**
 * What a stage computed for sessions that ended: the next session that begins alike, or the same one along another route, goes on from there.
 * A session's keys and values stay where they are until their place is needed or the engine has nothing to do; then they become a file.
 */
import type { KeptFile, KeptFiles } from "./kept-files.ts";
import {
  type KeptTokens,
  type KnownTokens,
  PREFIX_BLOCK,
  type PrefixRules,
  usablePrefix,
} from "./prefix-rules.ts";
import type { SentRows } from "./sent-rows.ts";
import type { Stage } from "./stage.ts";

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
  /** The last used last. */
  #entries: Kept[] = [];
  #parkedMs = 0;

  /** Without `files` only what is parked is kept. */
  constructor(stage: Stage, rules: PrefixRules, files: KeptFiles | undefined) {
    this.#stage = stage;
    this.#rules = rules;
    this.#files = files;
    for (const file of files?.open() ?? []) {
      const { tokens, promptTokens, earliest } = file;
      if (tokens.length > stage.contextLength) files?.remove(file);
      else
        this.#add({
          tokens,
          promptTokens,
          earliest,
          sent: undefined,
          endedMs: 0,
          sequence: undefined,
          file,
        });
    }
  }

  /** Whether something waits to be written. */
  get hasParked(): boolean {
    return this.#entries.some(({ sequence }) => sequence !== undefined);
  }

  /** The session in `sequence` has ended; its keys and values stay there for now. */
  park(
    sequence: number,
    { tokens, promptTokens }: KnownTokens,
    sent: SentRows | undefined,
    nowMs: number,
  ): void {
    this.#parkedMs = nowMs;
    for (const entry of this.#entries.slice())
      if (isStartOf(entry, tokens) && entry.promptTokens <= promptTokens)
        this.#forget(entry);
    this.#add({
      tokens,
      promptTokens,
      earliest: this.#stage.earliestOf(sequence, false),
      sent,
      endedMs: nowMs,
      sequence,
      file: undefined,
    });
    this.#dropSent(nowMs);
  }

  /** The longest that a session in `sequence` may take over. */
  find(
    wanted: KnownTokens,
    sequence: number,
    nowMs: number,
  ): KeptMatch | undefined {
    this.#dropSent(nowMs);
    let best: KeptMatch | undefined;
    for (const kept of this.#entries) {
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
      entry.file = this.#files?.add(
        entry,
        this.#stage.bytesOf(sequence),
        (path) => this.#stage.save(sequence, path),
      );
    this.#stage.releasePages(sequence);
    if (entry.file === undefined) this.#forget(entry);
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
    entry.sent = undefined;
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
