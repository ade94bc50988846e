/** What changes, as something to loop over: the present state at once, then the latest after each change, until the signal aborts. */
export async function* changesOf<T>(
  subscribe: (listener: () => void) => () => void,
  read: () => T,
  until: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  let isNews = true;
  let wake: (() => void) | undefined;
  const unsubscribe = subscribe(() => {
    isNews = true;
    wake?.();
  });
  const onAbort = (): void => wake?.();
  until.addEventListener("abort", onAbort);
  try {
    while (!until.aborted) {
      if (isNews) {
        isNews = false;
        yield read();
      } else {
        const { promise, resolve } = Promise.withResolvers<void>();
        wake = resolve;
        await promise;
      }
    }
  } finally {
    unsubscribe();
    until.removeEventListener("abort", onAbort);
  }
}
