/**
 * Progress as bars in a terminal. An event that tells how far something has come has two fields, `what` (a name) and `fraction` (0 to 1); here it
 * moves that bar and is no line of the log. Lines are written above the bars.
 */
import { MultiBar, Presets, type SingleBar } from "cli-progress";
import { printable, type ShoalEvent } from "../lib/index.ts";

/** Bars at once: what else moves is told by the log's lines. */
const MAX_BARS = 6;
/** A bar that nobody moved for so long belongs to something that ended otherwise. */
const STALE_MS = 12_000;
const STEPS = 1_000;

export function sourcesInWords(count: number): string {
  return count === 1 ? "1 source" : `${count} sources`;
}

interface Shown {
  bar: SingleBar;
  movedMs: number;
}

export class ProgressBars {
  readonly #bars: MultiBar;
  readonly #stream: NodeJS.WriteStream;
  readonly #shown = new Map<string, Shown>();
  readonly #now: () => number;

  constructor(
    stream: NodeJS.WriteStream,
    { ascii = false, now = () => performance.now() } = {},
  ) {
    this.#stream = stream;
    this.#now = now;
    this.#bars = new MultiBar(
      {
        stream,
        format: "{bar} {percentage} %  {what}  {detail}",
        barsize: 24,
        hideCursor: true,
        // A bar that is done goes; what became of it stands in the log.
        clearOnComplete: true,
        fps: 5,
        ...(ascii && { barCompleteChar: "#", barIncompleteChar: "." }),
      },
      ascii ? Presets.legacy : Presets.shades_classic,
    );
  }

  /** True if the event was one of progress, and is shown. */
  take(event: ShoalEvent): boolean {
    const { what: name, fraction, rate, sources } = event.fields;
    if (typeof name !== "string" || typeof fraction !== "number") return false;
    const what = printable(name);
    this.#sweep();
    const shown = this.#shown.get(what);
    if (fraction >= 1) {
      if (shown !== undefined) this.#remove(what, shown);
      return true;
    }
    if (shown === undefined && this.#shown.size >= MAX_BARS) return false;
    const detail = [
      typeof rate === "string" ? rate : "",
      typeof sources === "number" ? sourcesInWords(sources) : "",
    ]
      .filter((part) => part !== "")
      .join(", ");
    const value = Math.floor(fraction * STEPS);
    const bar = shown?.bar ?? this.#bars.create(STEPS, value, { what, detail });
    bar.update(value, { what, detail });
    this.#shown.set(what, { bar, movedMs: this.#now() });
    return true;
  }

  /** A line of the log, with its end. */
  write(line: string): void {
    this.#sweep();
    if (this.#shown.size > 0) this.#bars.log(line);
    else this.#stream.write(line);
  }

  stop(): void {
    for (const [what, shown] of this.#shown) this.#remove(what, shown);
  }

  #sweep(): void {
    for (const [what, shown] of this.#shown)
      if (this.#now() - shown.movedMs > STALE_MS) this.#remove(what, shown);
  }

  #remove(what: string, { bar }: Shown): void {
    this.#shown.delete(what);
    this.#bars.remove(bar);
    // With the last bar the cursor comes back.
    if (this.#shown.size === 0) this.#bars.stop();
  }
}
