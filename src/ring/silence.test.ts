/** A peer whose machine or network is gone is noticed; one that only does not read for long, because it computes, is not taken for it. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { namespacesMissing } from "../../test/support/namespaces.ts";

const SIDE = join(import.meta.dirname, "../../test/support/silence-side.ts");

test(
  "silence ends a data connection after seconds, with data under way or without; a full reader does not",
  { skip: namespacesMissing },
  async () => {
    const run = `ip link set lo up && exec "${process.execPath}" "${SIDE}"`;
    const { stdout } = await promisify(execFile)("unshare", [
      "-n",
      "sh",
      "-c",
      run,
    ]);
    const { endedMs, codes, waiting } = JSON.parse(stdout) as {
      endedMs: Record<string, number>;
      codes: string[];
      waiting: number;
    };
    assert.deepEqual(Object.keys(endedMs).sort(), ["idle", "sending"]);
    assert.deepEqual(codes, ["RING_CLOSED", "RING_CLOSED"]);
    for (const ms of Object.values(endedMs))
      assert.ok(ms > 2_000 && ms < 8_000, `${ms} ms`);
    assert.ok(waiting > 10 * 1024 * 1024, "its frames still wait");
  },
);
