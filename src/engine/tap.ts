/**
 * What the scheduler's callback takes out of a graph and puts into it. llama.cpp asks for every tensor whether we want it. We want the last
 * layer's (`l_out-<i>`), copy it and answer false, which ends the graph before the dummy norm and head. Where the graph treats its input first
 * (a scale, a norm), we want the last node of that treatment too, and write the activations that came over it. Of a prompt that is embedded, the
 * last stage wants what the head would get (`result_norm`), and no head: llama.cpp pools the same tensor.
 */
import { ShoalError } from "../lib/index.ts";
import type { ShardInfo } from "../model/index.ts";
import type { Native, Pointer } from "./native-types.ts";

type Watched = Pick<
  ShardInfo,
  | "isFirst"
  | "isLast"
  | "embeds"
  | "embeddingLength"
  | "boundaryTensor"
  | "injectTensor"
  | "activationLength"
>;

const NORM = "result_norm";

export class Tap implements Disposable {
  /** For `cb_eval`. */
  readonly callback: Pointer;
  /** Gets each tensor of the graphs that run meanwhile. */
  observer: ((tensor: Pointer, name: string) => void) | undefined;
  #native: Native;
  #shard: Watched;
  #isIdle: boolean;
  /** (batchTokens, activationLength): what was captured in the last decode, of one graph after the other. */
  #captured: Float32Array;
  #capturedValues = 0;
  /** What is to be written over the inject tensors of this decode, and how much of it was. */
  #inject: Float32Array | undefined;
  #injectedValues = 0;
  /** Rows of the norm that this decode is to give; 0: none. */
  #normRows = 0;
  /** (normRows, embeddingLength) */
  #norm: Float32Array | undefined;

  constructor(native: Native, shard: Watched, batchTokens: number) {
    this.#native = native;
    this.#shard = shard;
    this.#isIdle = shard.isLast && !this.injects;
    this.#captured = new Float32Array(
      shard.isLast ? 0 : batchTokens * shard.activationLength,
    );
    this.callback = native.evalCallback((tensor, ask) =>
      this.#onTensor(tensor, ask),
    );
  }

  /** The activations are written into the graph, not fed to it. */
  get injects(): boolean {
    return !this.#shard.isFirst && this.#shard.injectTensor !== undefined;
  }

  /** Before a decode; `inject`: (n, activationLength); `normRows`: rows that are output, if their norm is wanted instead of logits. */
  begin(inject: Float32Array | undefined, normRows = 0): void {
    if (normRows > 0 && !this.#shard.embeds)
      throw new ShoalError("ENGINE_FAILED", "the model gives no embeddings");
    this.#normRows = normRows;
    this.#norm = undefined;
    this.#capturedValues = 0;
    this.#inject = inject;
    this.#injectedValues = 0;
  }

  /** After a decode of `n` rows: (n, activationLength), a view that the next one overwrites; undefined on the last stage. */
  end(n: number): Float32Array | undefined {
    const { isLast, boundaryTensor, injectTensor, activationLength } =
      this.#shard;
    const isInjected = this.#injectedValues === (this.#inject?.length ?? 0);
    this.#inject = undefined;
    if (!isInjected) {
      throw new ShoalError(
        "ENGINE_FAILED",
        `the graph has no ${injectTensor ?? "?"} of the activations' size`,
      );
    }
    if (this.#normRows > 0 && this.#norm === undefined)
      throw new ShoalError(
        "ENGINE_FAILED",
        `the graph has no ${NORM} of ${this.#normRows} rows`,
      );
    if (isLast) return undefined;
    const values = n * activationLength;
    if (this.#capturedValues !== values) {
      throw new ShoalError(
        "ENGINE_FAILED",
        `${boundaryTensor} gave ${this.#capturedValues} values, expected ${values}`,
      );
    }
    return this.#captured.subarray(0, values);
  }

  /** Of the last row of the last decode that was to give it, (embeddingLength). */
  get lastNorm(): Float32Array {
    const norm = this.#norm ?? new Float32Array();
    return norm.subarray(-this.#shard.embeddingLength);
  }

  #onTensor(tensor: Pointer, ask: boolean): boolean {
    const wantsNorm = this.#normRows > 0;
    if (this.#isIdle && !wantsNorm && this.observer === undefined) return false;
    const name = this.#native.tensorName(tensor);
    const isInput = this.injects && name === this.#shard.injectTensor;
    if (ask) {
      this.observer?.(tensor, name);
      return (
        isInput ||
        (wantsNorm && name === NORM) ||
        (!this.#shard.isLast && name === this.#shard.boundaryTensor)
      );
    }
    const bytes = this.#native.tensorBytes(tensor);
    if (isInput) return this.#write(tensor, bytes);
    if (name === NORM) return this.#takeNorm(tensor, bytes);
    const from = this.#capturedValues;
    this.#capturedValues += bytes / 4;
    if (this.#capturedValues > this.#captured.length) return false; // `end` reports it
    const into = from === 0 ? this.#captured : this.#captured.subarray(from);
    this.#native.readTensor(tensor, into, bytes);
    return false; // the rest of the graph is the dummy norm and head
  }

  #takeNorm(tensor: Pointer, bytes: number): boolean {
    const values = this.#normRows * this.#shard.embeddingLength;
    if (bytes !== 4 * values) return false; // `end` reports it
    this.#norm = new Float32Array(values);
    this.#native.readTensor(tensor, this.#norm, bytes);
    return false; // the rest of the graph is the head
  }

  #write(tensor: Pointer, bytes: number): boolean {
    const from = this.#injectedValues;
    const rest = this.#inject?.subarray(from, from + bytes / 4);
    if (rest?.byteLength !== bytes) return false; // `end` reports it
    this.#native.writeTensor(tensor, rest, bytes);
    this.#injectedValues += rest.length;
    return true;
  }

  [Symbol.dispose](): void {
    this.#native.freeCallback(this.callback);
  }
}
