/** How far a download is, as events: each second for the bars, every 10 s a line of the log. */
import { type EventSink, formatBytes } from "../lib/index.ts";
import type { FileProgress, RemoteFile } from "./remote-file.ts";

const BAR_MS = 1_000;
const LINE_MS = 10_000;

export interface ProgressContext {
  events: EventSink;
  onProgress?: ((progress: FileProgress) => void) | undefined;
}

export class Progress {
  readonly #file: RemoteFile;
  readonly #context: ProgressContext;
  readonly #name: string;
  #barMs = performance.now();
  #lineMs = performance.now();
  #fromBytes: number | undefined;
  #isShown = false;

  constructor(file: RemoteFile, context: ProgressContext) {
    this.#file = file;
    this.#context = context;
    this.#name = file.name;
  }

  at(doneBytes: number): void {
    const nowMs = performance.now();
    const tookMs = nowMs - this.#barMs;
    // The first bytes may be many that were kept.
    this.#fromBytes ??= doneBytes;
    if (tookMs < BAR_MS) return;
    const bytesPerSecond =
      (1000 * Math.max(0, doneBytes - this.#fromBytes)) / tookMs;
    this.#barMs = nowMs;
    this.#fromBytes = doneBytes;
    this.#tell(doneBytes, bytesPerSecond);
  }

  done(digest: string): void {
    const { digest: expected, sizeBytes } = this.#file;
    const { events, onProgress } = this.#context;
    const name = this.#name;
    onProgress?.({ name, doneBytes: sizeBytes, sizeBytes, bytesPerSecond: 0 });
    events.info(
      "HUB",
      expected !== undefined
        ? `${this.#name} is complete and verified`
        : `${this.#name} is complete; the server gives no checksum, so only its size was checked. Append #sha256=${digest} to the address to have it checked next time`,
      { size: formatBytes(sizeBytes) },
    );
  }

  /** Removes the bar. */
  stop(): void {
    if (this.#isShown)
      this.#context.events.debug("HUB", `${this.#name}: download stopped`, {
        what: this.#name,
        fraction: 1,
      });
  }

  #tell(doneBytes: number, bytesPerSecond: number): void {
    const { sizeBytes } = this.#file;
    const { events, onProgress } = this.#context;
    const nowMs = performance.now();
    onProgress?.({ name: this.#name, doneBytes, sizeBytes, bytesPerSecond });
    const isLine = nowMs - this.#lineMs >= LINE_MS;
    if (isLine) this.#lineMs = nowMs;
    this.#isShown = true;
    events[isLine ? "info" : "debug"](
      "HUB",
      `${this.#name}: ${Math.floor((100 * doneBytes) / sizeBytes)} %`,
      {
        what: this.#name,
        fraction: Math.floor((1e4 * doneBytes) / sizeBytes) / 1e4,
        done: formatBytes(doneBytes),
        rate: `${formatBytes(bytesPerSecond)}/s`,
      },
    );
  }
}
