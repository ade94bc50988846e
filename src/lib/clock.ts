import { uptime } from "node:os";

/** Time as a dependency: a program uses the system's clock, a test its own. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls `fn` after `ms`; the result cancels it. */
  after(ms: number, fn: () => void): () => void;
}

export const systemClock: Clock = {
  now: Date.now,
  after(ms, fn) {
    const timer = setTimeout(fn, ms);
    return () => clearTimeout(timer);
  },
};

/** What a steady clock reads, in milliseconds. */
export interface TimeSources {
  /** The time, which people and NTP set. */
  wall: () => number;
  /** Evenly, but not while the machine sleeps. */
  awake: () => number;
  /** Evenly, sleep included; slower to read, and in hundredths of a second or worse. */
  sinceBoot: () => number;
}

/** The time and the clock of the process drift apart by this when the machine slept or its clock was set: NTP adjusts it in smaller steps. */
const DRIFT_MS = 500;

/** Goes on evenly when somebody sets the system's clock, and knows of the machine's sleep. */
export function steadyNow({
  wall,
  awake,
  sinceBoot,
}: TimeSources): () => number {
  const startMs = wall() - awake();
  const bootMs = sinceBoot() - awake();
  let knownMs = startMs;
  let sleptMs = 0;
  return () => {
    const awakeMs = awake();
    const driftMs = wall() - awakeMs;
    if (Math.abs(driftMs - knownMs) > DRIFT_MS) {
      knownMs = driftMs;
      const asleepMs = sinceBoot() - awakeMs - bootMs;
      if (asleepMs > sleptMs + DRIFT_MS) sleptMs = asleepMs;
    }
    return startMs + awakeMs + sleptMs;
  };
}

/** For how long something takes or lasts. */
export const steadyClock: Clock = {
  ...systemClock,
  now: steadyNow({
    wall: Date.now,
    awake: () => performance.now(),
    sinceBoot: () => uptime() * 1_000,
  }),
};
