/** Which layers a node could load without fetching anything. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { ON_DISK_RANGES } from "../cluster/index.ts";
import { type Manifest, partsOf } from "../model/index.ts";
import { type Root, toRoot } from "../store/index.ts";
import { DiskLayers, layersOnDisk } from "./parts-on-disk.ts";

function manifestOf(layerCount: number, tied: boolean): Manifest {
  const layers = Array.from({ length: layerCount }, (_, i) => `layer.${i}`);
  const borders = layers.map((_, i) => i).slice(1);
  return {
    layerCount,
    tied,
    cuts: { borders, needs: [], refusedLengths: [] },
    parts: ["metadata", "embedding", ...layers, "output"].map((id, i) => ({
      id,
      root: new Uint8Array(32).fill(i + 1),
      sizeBytes: 32,
      tensors: [],
    })),
  } as unknown as Manifest;
}

/** Of a store that has these parts. */
function having(manifest: Manifest, ids: readonly string[]): Set<Root> {
  const parts = manifest.parts.filter(({ id }) => ids.includes(id));
  return new Set(parts.map(({ root }) => toRoot(root)));
}

const cases: readonly [tied: boolean, ids: string[], expected: number[][]][] = [
  [false, [], []],
  [false, ["layer.1", "layer.2"], [[1, 3]]],
  [false, ["layer.0", "layer.1"], [[1, 2]]],
  [false, ["embedding", "layer.0", "layer.1"], [[0, 2]]],
  [false, ["layer.3", "output"], [[3, 4]]],
  [false, ["layer.2", "layer.3"], [[2, 3]]],
  [true, ["layer.3", "output"], []],
  [true, ["embedding", "layer.3", "output"], [[3, 4]]],
  [false, ["layer.1", "layer.3", "output"], [[1, 2], [3, 4]]], // prettier-ignore
];
for (const [tied, ids, expected] of cases) {
  test(`a disk with ${ids.join(", ") || "nothing"} of a model with ${tied ? "one table" : "two tables"} has ${JSON.stringify(expected)}`, () => {
    const manifest = manifestOf(4, tied);
    const held = having(manifest, ids);
    assert.deepEqual(
      layersOnDisk(manifest, (root) => held.has(root)),
      expected,
    );
  });
}

test("property: a shard lies in a range exactly if all of its parts but the metadata are there", () => {
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
      fc.boolean(),
      fc.boolean(),
      (tied, layers, embedding, output) => {
        const manifest = manifestOf(8, tied);
        const ids = [
          ...layers.flatMap((is, i) => (is ? [`layer.${i}`] : [])),
          ...(embedding ? ["embedding"] : []),
          ...(output ? ["output"] : []),
        ];
        const held = having(manifest, ids);
        const ranges = layersOnDisk(manifest, (root) => held.has(root));
        for (let start = 0; start < 8; start++)
          for (let end = start + 1; end <= 8; end++) {
            const range = { layerStart: start, layerEnd: end };
            const isHere = partsOf(manifest, range)
              .slice(1)
              .every(({ root }) => held.has(toRoot(root)));
            const isTold = ranges.some(([a, b]) => a <= start && b >= end);
            assert.equal(isTold, isHere);
          }
      },
    ),
  );
});

test("of more ranges than are told the longest remain", () => {
  const manifest = manifestOf(60, false);
  const has = (layer: number): boolean => layer % 3 !== 0;
  const held = having(
    manifest,
    manifest.parts
      .map(({ id }) => id)
      .filter((id) => id.startsWith("layer.") && has(Number(id.slice(6))))
      .filter((id) => id !== "layer.1"),
  );
  const ranges = layersOnDisk(manifest, (root) => held.has(root));
  assert.equal(ranges.length, ON_DISK_RANGES);
  assert.ok(ranges.every(([a, b]) => b - a === 2));
});

test("it is looked up again only after the files changed", () => {
  const manifest = manifestOf(4, false);
  let held = having(manifest, ["layer.1"]);
  let asked = 0;
  let tell = (): void => {};
  const disk = new DiskLayers({
    holds: (root) => (asked++, held.has(root)),
    onChange: (listener) => {
      tell = listener;
      return () => {};
    },
  });
  assert.deepEqual(disk.of(manifest), [[1, 2]]);
  const once = asked;
  held = having(manifest, ["layer.1", "layer.2"]);
  assert.deepEqual(disk.of(manifest), [[1, 2]]);
  assert.equal(asked, once);
  tell();
  assert.deepEqual(disk.of(manifest), [[1, 3]]);
});
