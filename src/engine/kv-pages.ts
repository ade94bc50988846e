/**
 * The pages of a context's keys and values. llama.cpp writes zeros to all of them when it makes a context; given back, they take memory when they
 * are used. Its graphs tell where they are: each cache is a tensor of its own, (n_embd, cells, sequences), and a session has one slice of
 * it. Only pages that lie wholly in that slice are given back.
 */
import type { Pages } from "./native-pages.ts";
import type { NativeTensors, Pointer, TensorMemory } from "./native-types.ts";

/** Of a layer; views have a word more. States of fixed size have other names, and stay. */
const CACHE = /^cache_[kv]_l\d+/;

export class KvPages {
  #pages: Pages | undefined;
  #sessions: number;
  /** By address. */
  #caches = new Map<number, TensorMemory>();
  #isRefused = false;

  /** `pages`: undefined where nothing can be given back. */
  constructor(sessions: number, pages: Pages | undefined) {
    this.#sessions = sessions;
    this.#pages = pages;
  }

  /** Whether every cache that the graph showed is given back. */
  get returnsPages(): boolean {
    return (
      this.#pages !== undefined && this.#caches.size > 0 && !this.#isRefused
    );
  }

  /** For each tensor of a graph. */
  notice(native: NativeTensors, tensor: Pointer, name: string): void {
    if (this.#pages === undefined || !CACHE.test(name)) return;
    const memory = native.memoryOf(tensor);
    if (memory === undefined || !this.#isSliced(memory)) this.#isRefused = true;
    else this.#caches.set(memory.address, memory);
  }

  /** (n_embd, cells, sequences): each session's cells lie together. */
  #isSliced({ shape, sizeBytes }: TensorMemory): boolean {
    const [, , sequences, more] = shape;
    return (
      sequences === this.#sessions &&
      more === 1 &&
      sizeBytes % this.#sessions === 0
    );
  }

  /** What `sequence` has; it must be free. */
  release(sequence: number): void {
    for (const { address, sizeBytes } of this.#caches.values()) {
      const bytes = sizeBytes / this.#sessions;
      this.#giveBack(address + sequence * bytes, bytes);
    }
  }

  /** What all sequences have; they must be free. */
  releaseAll(): void {
    for (const { address, sizeBytes } of this.#caches.values())
      this.#giveBack(address, sizeBytes);
  }

  #giveBack(address: number, sizeBytes: number): void {
    if (this.#pages === undefined) return;
    const { pageBytes } = this.#pages;
    const from = Math.ceil(address / pageBytes) * pageBytes;
    const end = address + sizeBytes - ((address + sizeBytes) % pageBytes);
    if (end > from && !this.#pages.giveBack(from, end - from))
      this.#isRefused = true;
  }
}
