import { createContext, Script } from "node:vm";

/** The same result, or an error after `maxMs`: node:vm's watchdog stops all JavaScript below it, host functions included. */
export function withinTime<T>(maxMs: number, work: () => T): T {
  let result: { value: T } | undefined;
  watched.work = () => {
    result = { value: work() };
  };
  try {
    callWork.runInContext(watched, { timeout: maxMs });
  } finally {
    delete watched.work;
  }
  if (result === undefined) throw new Error("it did not finish");
  return result.value;
}

const watched = createContext(Object.create(null) as { work?: () => void });
const callWork = new Script("work()");
