/** Of what a cluster can do: its view, and the model's vocabulary here. */
export class Changes {
  readonly #waiting = new Set<() => void>();

  tell(): void {
    for (const resolve of this.#waiting) resolve();
  }

  /** Resolves with the next change, or when the signal aborts. */
  next(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiting.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#waiting.add(done);
      if (signal.aborted) done();
      else signal.addEventListener("abort", done, { once: true });
    });
  }
}
