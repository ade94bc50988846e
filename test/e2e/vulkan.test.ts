/**
 * A graphics card by Vulkan: Debian's lavapipe, which computes on the processor, stands for one. The package that `shoal devices` names in its
 * line for npm is installed; the device is listed, and a stage computes there what it computes on the processor.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { globSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { splitModel } from "../../src/model/index.ts";
import type { GpuStageResult } from "../support/gpu-stage.ts";
import { writeRandomModel } from "../support/models.ts";
import { noRegistry, npm } from "../support/package.ts";
import { assertBuilt, ENTRY } from "../support/swarm.ts";

const LAVAPIPE = globSync("/usr/share/vulkan/icd.d/lvp_icd.*.json")[0];
/** llama.cpp compiles its shaders first: some 20 s of processor time, more on a busy machine. */
const SHADERS_MS = 900_000;
/** Of the largest value: a card sums in another order, and keeps keys and values in half precision. */
const TOLERANCE = 1e-3;
const STAGE = join(import.meta.dirname, "../support/gpu-stage.ts");

const missing =
  process.platform !== "linux" || process.arch !== "x64"
    ? "only Linux x64 has lavapipe here"
    : LAVAPIPE === undefined
      ? "mesa-vulkan-drivers is not installed"
      : await noRegistry();

describe("Vulkan", { skip: missing ?? false }, () => {
  let folder = "";
  const env = (): Record<string, string | undefined> => ({
    ...process.env,
    // lavapipe counts as a processor, which llama.cpp passes over unless it is named.
    GGML_VK_VISIBLE_DEVICES: "0",
    VK_DRIVER_FILES: LAVAPIPE,
    MESA_SHADER_CACHE_DIR: join(folder, "shaders"),
  });
  const devices = async (): Promise<{ stdout: string }> =>
    await promisify(execFile)(process.execPath, [ENTRY, "devices", "--json"], {
      cwd: folder,
      env: env(),
      timeout: 120_000,
    });

  before(async () => {
    assertBuilt();
    folder = await mkdtemp(join(tmpdir(), "shoal-vulkan-"));
  });
  after(() => rm(folder, { recursive: true, force: true, maxRetries: 10 }));

  test("the library is named with the line that installs it; then the device is listed", async () => {
    const before = await devices();
    const line =
      /npm install [^"]*(@node-llama-cpp\/linux-x64-vulkan@[\d.]+)/.exec(
        before.stdout,
      );
    assert.ok(line !== null, before.stdout);
    assert.doesNotMatch(before.stdout, /llvmpipe/);
    await npm(["init", "--yes"], { cwd: folder });
    await npm(["install", line[1]!], { cwd: folder });
    const after = await devices();
    assert.match(after.stdout, /"Vulkan0"/);
    assert.match(after.stdout, /llvmpipe/);
  });

  test(
    "a stage computes on the device what it computes on the processor",
    { timeout: 2 * SHADERS_MS },
    async (t) => {
      const model = join(folder, "model.gguf");
      await writeRandomModel(model, { layers: 2 });
      const shards = join(folder, "shards");
      await splitModel({ path: model, shards: 2, outDir: shards });
      const stage = async (
        shard: number,
        ...device: string[]
      ): Promise<GpuStageResult> => {
        const { stdout } = await promisify(execFile)(
          process.execPath,
          [STAGE, join(shards, `shard-${shard}.gguf`), ...device],
          { cwd: folder, env: env(), timeout: SHADERS_MS },
        );
        return JSON.parse(stdout) as GpuStageResult;
      };
      for (const shard of [0, 1]) {
        const processor = await stage(shard, "cpu");
        const card = await stage(shard, "vulkan", "Vulkan0");
        assert.ok(processor.placed.every((line) => !line.includes("Vulkan")));
        assert.ok(
          card.placed.some((l) =>
            /layer +0 assigned to device Vulkan0/.test(l),
          ),
        );
        assert.ok(card.placed.some((l) => /Vulkan0 KV buffer size/.test(l)));
        assert.equal(card.rows.length, processor.rows.length);
        const far = Math.max(
          ...processor.rows.map((row, i) => distance(row, card.rows[i]!)),
        );
        t.diagnostic(`shard ${shard} differs by ${far.toExponential(1)}`);
        assert.ok(far < TOLERANCE, `${far}`);
      }
    },
  );
});

/** The largest difference, as a part of the largest value. */
function distance(expected: number[], actual: number[]): number {
  const largest = Math.max(...expected.map(Math.abs));
  const far = expected.map((value, i) => Math.abs(value - (actual[i] ?? NaN)));
  return Math.max(...far) / largest;
}
