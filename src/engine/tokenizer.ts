/** The model's own tokenizer, loaded vocabulary-only in a child process; turning tokens into text needs no round trip. */
import { isShoalError, ShoalError } from "../lib/index.ts";
import { intsOf, Op } from "./channel.ts";
import { EngineProcess } from "./engine-process.ts";
import type { InfillTokens, VocabularyInfo } from "./vocabulary.ts";

const LOAD_TIMEOUT_MS = 60_000;
/** A prompt of megabytes takes a second; after this time the child is stuck. */
const ENCODE_TIMEOUT_MS = 30_000;
const NO_BYTES = new Uint8Array();

export class Tokenizer implements AsyncDisposable {
  readonly vocabSize: number;
  readonly bosText: string;
  readonly eosText: string;
  readonly addsBos: boolean;
  readonly infill: InfillTokens;
  #path: string;
  #process: EngineProcess;
  #isStopped = false;
  #reviving: Promise<void> | undefined;
  #pieces: Uint8Array[];
  #specialPieces: ReadonlyMap<number, Uint8Array>;
  #endTokens: ReadonlySet<number>;

  private constructor(
    path: string,
    child: EngineProcess,
    info: VocabularyInfo,
  ) {
    this.#path = path;
    this.#process = child;
    this.vocabSize = info.size;
    this.bosText = info.bosText;
    this.eosText = info.eosText;
    this.addsBos = info.addsBos;
    this.infill = info.infill;
    this.#endTokens = new Set(info.endTokens);
    this.#specialPieces = new Map(
      info.specialPieces.map(([token, text]) => [
        token,
        Buffer.from(text, "base64"),
      ]),
    );
    const bytes = Buffer.from(info.pieces, "base64");
    let at = 0;
    this.#pieces = info.pieceLengths.map((length) =>
      bytes.subarray(at, (at += length)),
    );
  }

  /** From any GGUF with a vocabulary. Throws ENGINE_LOAD_FAILED if it has none. */
  static async load(path: string): Promise<Tokenizer> {
    const [child, info] = await start(path);
    return new Tokenizer(path, child, info);
  }

  /** `parseSpecial` reads `<|user|>` and the like as the control tokens they name. A dead engine is restarted, also one that died meanwhile. */
  async encode(
    text: string,
    options: { addSpecial: boolean; parseSpecial: boolean },
  ): Promise<Int32Array> {
    const flags = (options.addSpecial ? 1 : 0) | (options.parseSpecial ? 2 : 0);
    const parts = [Uint8Array.of(flags, 0, 0, 0), Buffer.from(text)];
    try {
      return await this.#tokenize(parts);
    } catch (error) {
      if (!isShoalError(error, "ENGINE_DIED")) throw error;
      // If it was this text that it died of, it does so again.
      return await this.#tokenize(parts);
    }
  }

  async #tokenize(parts: Uint8Array[]): Promise<Int32Array> {
    await this.#revive();
    const answer = await this.#process.request(Op.Tokenize, parts, {
      timeoutMs: ENCODE_TIMEOUT_MS,
    });
    return intsOf(answer).slice();
  }

  /**
   * The token's UTF-8 bytes, which may be part of a character. Unknown ids have none, and control tokens only with `special`: then theirs are
   * the text that `encode` reads as them with `parseSpecial`.
   */
  piece(token: number, special = false): Uint8Array {
    const text = special ? this.#specialPieces.get(token) : undefined;
    return text ?? this.#pieces[token] ?? NO_BYTES;
  }

  isEndOfGeneration(token: number): boolean {
    return this.#endTokens.has(token);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#process.stop();
  }

  /** One start for all who ask meanwhile. */
  async #revive(): Promise<void> {
    if (!this.#isStopped && this.#process.alive) return;
    this.#reviving ??= this.#start().finally(() => {
      this.#reviving = undefined;
    });
    await this.#reviving;
  }

  async #start(): Promise<void> {
    if (!this.#isStopped) [this.#process] = await start(this.#path);
    if (!this.#isStopped) return;
    // Also where it was stopped meanwhile.
    await this.#process.stop();
    throw new ShoalError("ABORTED", "the tokenizer was stopped");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

async function start(path: string): Promise<[EngineProcess, VocabularyInfo]> {
  const child = new EngineProcess();
  try {
    return [
      child,
      await child.requestJson<VocabularyInfo>(
        Op.LoadVocabulary,
        { path },
        { timeoutMs: LOAD_TIMEOUT_MS },
      ),
    ];
  } catch (error) {
    await child.stop();
    throw error;
  }
}
