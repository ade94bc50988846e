/**
 * Bounds what V8's heap takes beyond the objects in use: first of all the room for new ones (the young generation). On a machine with much memory it takes 128 MiB under load, of which a
 * role has no use, and the flag that limits it is read before any program runs. How fast it grows may be changed at any time.
 */
import { PerformanceObserver } from "node:perf_hooks";
import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";

/** Two halves. A role that moves weights or tokens fills one in about a second. */
export const YOUNG_BYTES = 16 * 1024 * 1024;

/** The rest of the heap, in hundredths of what was in use at the last collection, before the next one. V8 lets it grow up to fourfold. */
const GROWTH_PERCENT = 50;

/** From now on, until the process ends. The young generation may grow again after V8 shrank it in an idle minute. */
export function boundHeap(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
  let mayGrow = true;
  const observer = new PerformanceObserver(() => {
    const isBelow = youngBytes() < YOUNG_BYTES;
    if (isBelow === mayGrow) return;
    mayGrow = isBelow;
    setFlagsFromString(`--semi-space-growth-factor=${mayGrow ? 2 : 1}`);
  });
  observer.observe({ entryTypes: ["gc"] });
}

export function youngBytes(): number {
  const space = getHeapSpaceStatistics().find(
    ({ space_name }) => space_name === "new_space",
  );
  return space?.space_size ?? 0;
}
