/** A process that takes orders from a test or a bench, one at a time. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";

type Answer = { value: unknown } | { error: string };

export class Side<Order> {
  readonly #child: ChildProcess;

  constructor(program: URL) {
    this.#child = fork(program);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  async do<T>(order: Order): Promise<T> {
    const over = new AbortController();
    const { signal } = over;
    const answered = once(this.#child, "message", { signal });
    const died = once(this.#child, "exit", { signal }).then(([code]) => {
      throw new Error(`a side ended with ${code}`);
    });
    this.#child.send(order as object);
    const first = Promise.race([answered, died]).finally(() => over.abort());
    for (const each of [answered, died]) each.catch(() => {});
    const [answer] = (await first) as [Answer];
    if ("error" in answer) throw new Error(answer.error);
    return answer.value as T;
  }

  async stop(): Promise<void> {
    const gone = once(this.#child, "exit");
    this.#child.disconnect();
    await gone;
  }

  /** Twice without harm, and whatever it does. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null)
      return;
    const gone = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await gone;
  }
}

/** For the program of a side: does what it is told, and ends with whoever told it. */
export function takeOrders(perform: (order: never) => Promise<unknown>): void {
  process.on("message", (order) => {
    perform(order as never).then(
      (value) => process.send?.({ value }),
      (error: unknown) => {
        const text = error instanceof Error ? error.stack : String(error);
        process.send?.({ error: text });
      },
    );
  });
  process.on("disconnect", () => process.exit());
}
