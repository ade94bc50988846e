/** The shards of every served architecture compute what the whole model does, bit for bit, at every border where it may be cut. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { rename } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test, type TestContext } from "node:test";
import { openModel, writeGguf } from "../../src/gguf/index.ts";
import { describeModel, REFUSED, SERVED } from "../../src/model/index.ts";
import {
  CASES,
  caseName,
  type CertificateCase,
} from "../support/certificate/cases.ts";
import { certify } from "../support/certificate/certify.ts";
import type { Said } from "../support/certificate/child.ts";
import { libraryArchitectures } from "../support/certificate/library.ts";
import { writeTinyModel } from "../support/certificate/tiny-model.ts";
import { temporaryFolder } from "../support/folder.ts";

const CHILD = join(import.meta.dirname, "../support/certificate/child.ts");
/** Of those that are served today; a smaller number is a loss. */
const LEAST_ARCHITECTURES = 114;

interface Result {
  cuts: number;
  layers: number;
  failed?: string;
}

/** Children take cases until none is left. A child that dies is followed by another one, for the cases after the one it died of. */
async function certifyAll(
  t: TestContext,
  cases: readonly CertificateCase[],
): Promise<Result[]> {
  const results: Result[] = cases.map(() => ({ cuts: 0, layers: 0 }));
  const groups = Array.from({ length: availableParallelism() }, (_, k) =>
    cases.map((_case, i) => i).filter((i) => i % availableParallelism() === k),
  );
  const running = new Set<ChildProcess>();
  t.after(() => running.forEach((child) => child.kill("SIGKILL")));
  await Promise.all(
    groups.map(async (group) => {
      for (let left = group; left.length > 0;) {
        const child = spawn(process.execPath, [CHILD, ...left.map(String)], {
          stdio: ["ignore", "pipe", "pipe"],
        });
        running.add(child);
        let at = left[0] ?? 0;
        let begins = "its start";
        let words = "";
        child.stderr.on("data", (data: Buffer) => {
          words = (words + data.toString()).slice(-2_000);
        });
        for await (const line of createInterface({ input: child.stdout })) {
          const said = JSON.parse(line) as Said;
          at = said.index;
          if ("begins" in said) begins = said.begins;
          else if ("failed" in said) results[at]!.failed = said.failed;
          else results[at] = said;
        }
        running.delete(child);
        if (at === left.at(-1) && isDone(results[at])) return;
        results[at]!.failed = `the process ended at ${begins}: ${words}`;
        left = left.slice(left.indexOf(at) + 1);
      }
    }),
  );
  return results;
}

function isDone(result: Result | undefined): boolean {
  return (result?.cuts ?? 0) > 0 || result?.failed !== undefined;
}

test(
  "every served architecture is exact at every border, in each variant",
  { timeout: 600_000 },
  async (t) => {
    const results = await certifyAll(t, CASES);
    const failed = CASES.flatMap((each, i) =>
      (results[i]?.cuts ?? 0) > 0
        ? []
        : [`${caseName(each)}: ${results[i]?.failed ?? "no cut was made"}`],
    );
    assert.deepEqual(failed, []);
    const architectures = new Set(
      CASES.map(({ architecture }) => architecture),
    );
    const cuts = results.reduce((sum, result) => sum + result.cuts, 0);
    t.diagnostic(
      `certified ${architectures.size} architectures in ${CASES.length} models and ${cuts} cuts`,
    );
    assert.ok(architectures.size >= LEAST_ARCHITECTURES);
    assert.ok(cuts >= 5 * architectures.size);
  },
);

test("each architecture that the library knows is served or refused with a reason, and no other", () => {
  const names = libraryArchitectures();
  assert.ok(names.length > 100);
  const table = [...SERVED.map(({ name }) => name), ...Object.keys(REFUSED)];
  assert.deepEqual(table.toSorted(), names.toSorted());
  for (const reason of Object.values(REFUSED)) assert.match(reason, /\w+ \w+/);
});

for (const { name, refusedCounts = [] } of SERVED) {
  for (const { layers, from, reason } of refusedCounts) {
    const count = layers ?? from ?? 0;
    test(`a ${name} model of ${count} layers is refused with the reason`, async (t) => {
      const path = join(await temporaryFolder(t), "model.gguf");
      await writeTinyModel(path, name, {
        layers: count,
        keys: { "attention.key_length": 64, "attention.value_length": 64 },
      });
      const model = await openModel(path);
      assert.throws(
        () => describeModel(model),
        (error: Error) => {
          assert.ok(error.message.includes(reason), error.message);
          return true;
        },
      );
    });
  }
}

/** Faults that a wrong recipe would make: the comparison must notice each. */
const FAULTS: readonly [
  what: string,
  architecture: string,
  change: (metadata: Map<string, { value: unknown }>) => void,
][] = [
  [
    "a pattern that is not sliced",
    "gemma2",
    (metadata) => {
      const key = "gemma2.attention.sliding_window_pattern";
      const value = metadata.get(key)!.value as Uint32Array;
      for (const [i, slides] of value.entries()) value[i] = 1 - slides;
    },
  ],
  [
    "a scale that is applied in each shard",
    "granite",
    (metadata) => {
      metadata.get("granite.embedding_scale")!.value = 12;
    },
  ],
  [
    "dense layers that are counted again",
    "deepseek2",
    (metadata) => {
      metadata.get("deepseek2.leading_dense_block_count")!.value = 1;
    },
  ],
];

for (const [what, architecture, change] of FAULTS) {
  test(`the certificate notices ${what}`, async (t) => {
    const folder = await temporaryFolder(t);
    const path = join(folder, "model.gguf");
    await writeTinyModel(path, architecture);
    await certify(path, folder);
    const spoil = async (shard: string, layerStart: number): Promise<void> => {
      if (layerStart === 0) return;
      const { metadata, tensors } = await openModel(shard);
      const changed = new Map(
        [...metadata].map(([key, entry]) => [key, { ...entry }]),
      );
      change(changed);
      const spoiled = `${shard}.spoiled`;
      await writeGguf(spoiled, {
        metadata: changed,
        tensors: tensors.map((tensor) => ({
          ...tensor,
          data: { path: shard, ...tensor },
        })),
      });
      await rename(spoiled, shard);
    };
    await assert.rejects(
      certify(path, folder, undefined, spoil),
      /differ by|llama\.cpp refused/,
    );
  });
}
