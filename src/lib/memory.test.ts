/** The memory that is left, by what each platform says. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { availableMemory } from "./memory.ts";

/** As macOS 14 prints it. */
const VM_STAT = `Mach Virtual Memory Statistics: (page size of 16384 bytes)
Pages free:                               10000.
Pages active:                            363453.
Pages inactive:                          200000.
Pages speculative:                         3000.
Pages throttled:                              0.
Pages wired down:                        150031.
Pages purgeable:                           4410.
"Translation faults":                1093518021.
`;
const REPORTED = 160 * 1024 * 1024;

function available(platform: NodeJS.Platform, vmStat: () => string): number {
  return availableMemory({ platform, reported: () => REPORTED, vmStat });
}

test("on a mac the pages that the system gives away count too", () => {
  assert.equal(
    available("darwin", () => VM_STAT),
    (10_000 + 200_000 + 3_000) * 16_384,
  );
});

test("on a mac where vm_stat fails or prints something else, what Node reports counts", () => {
  const failed = (): string => {
    throw new Error("spawn ENOENT");
  };
  assert.equal(available("darwin", failed), REPORTED);
  for (const text of ["", "Pages free: 1.", VM_STAT.replace(/inac.*\n/, "")])
    assert.equal(
      available("darwin", () => text),
      REPORTED,
    );
});

test("on Linux and Windows what Node reports counts, and vm_stat is not run", () => {
  for (const platform of ["linux", "win32"] as const)
    assert.equal(
      available(platform, () => assert.fail("it was run")),
      REPORTED,
    );
});

test("on this machine there is some", () => {
  assert.ok(availableMemory() > 1024 * 1024);
});
