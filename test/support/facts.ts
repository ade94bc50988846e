import assert from "node:assert/strict";

/** The fields that `facts` names are equal; others may be there. */
export function assertHas(actual: object, facts: object): void {
  const seen = Object.keys(facts).map((key) => [
    key,
    actual[key as keyof object],
  ]);
  assert.deepEqual(Object.fromEntries(seen), facts);
}
