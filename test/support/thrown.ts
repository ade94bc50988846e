import assert from "node:assert/strict";

/** The error of a client's own class for a promise that must reject. */
export async function thrown<E extends Error>(
  kind: abstract new (...given: never[]) => E,
  promise: Promise<unknown>,
): Promise<E> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof kind, String(error));
    return error;
  }
  return assert.fail("nothing was thrown");
}
