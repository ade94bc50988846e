/** Polls for changes without an event; a hang ends as a failure that names what was awaited. */
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { MEMBER_PATIENCE_MS } from "./member.ts";

export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  everyMs = 100,
): Promise<void> {
  const endMs = performance.now() + MEMBER_PATIENCE_MS;
  while (!(await holds())) {
    assert.ok(performance.now() < endMs, `waited in vain for ${what}`);
    await pause(everyMs);
  }
}
