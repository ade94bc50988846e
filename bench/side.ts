/** A process that a bench gives orders to, one at a time; and that process's end of it. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";

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
      throw new Error(`a side of the bench ended with ${code}`);
    });
    this.#child.send(order as object);
    const first = Promise.race([answered, died]).finally(() => over.abort());
    for (const each of [answered, died]) each.catch(() => {});
    const [answer] = (await first) as [{ value: T; error?: string }];
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.value;
  }

  async stop(): Promise<void> {
    const gone = once(this.#child, "exit");
    this.#child.disconnect();
    await gone;
  }
}

/** In the process itself: every order is done and answered. Without the bench it ends. */
export function answerOrders(
  perform: (order: never) => Promise<unknown>,
): void {
  process.on("disconnect", () => process.exit());
  process.on("message", (order) => {
    perform(order as never).then(
      (value) => process.send?.({ value }),
      (error: unknown) =>
        process.send?.({
          error: error instanceof Error ? error.message : String(error),
        }),
    );
  });
}
