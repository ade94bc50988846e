/**
 * Preloaded (`node --import`) into a process whose machine's clock is to be wrong: there `Date` is TEST_CLOCK_BY_MS ahead, and what measures
 * durations (timers, `performance`) goes on as it does where a clock is only set wrong. Its parent may set it anew. It reaches JavaScript
 * alone: the time in native code, such as QUIC's, stays right.
 */
const read = Date.now;
let byMs = Number(process.env.TEST_CLOCK_BY_MS ?? 0);

class ShiftedDate extends Date {
  constructor(...args: unknown[]) {
    // A Date of something is that; one of nothing is of now.
    super(...((args.length === 0 ? [ShiftedDate.now()] : args) as []));
  }

  static override now(): number {
    return read() + byMs;
  }
}
globalThis.Date = ShiftedDate as DateConstructor;

// The engine inherits the clock and is told nothing: a listener would keep it alive.
if (process.argv[1]?.endsWith("shoal.js") === true)
  process.on("message", (message: { clockByMs?: unknown }) => {
    if (typeof message.clockByMs === "number") byMs = message.clockByMs;
  });
