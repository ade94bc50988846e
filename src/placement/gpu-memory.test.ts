/** Which memory counts where a shard goes to a GPU. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryForShards, type ShardMemory } from "./gpu-memory.ts";

const card = { kind: "gpu", freeBytes: 24 } as const;
const integrated = { kind: "integrated", freeBytes: 12 } as const;
const cases: [what: string, given: Partial<ShardMemory>, free: number][] = [
  ["the machine's, on the CPU", {}, 16],
  ["the card's, whatever the machine has", { gpus: [card] }, 24],
  ["that of all cards", { gpus: [card, card] }, 48],
  ["less what the node's shards took", { gpus: [card], onGpusBytes: 10 }, 14],
  ["never less than nothing", { gpus: [card], onGpusBytes: 30 }, 0],
  ["both, where some layers stay", { gpus: [card], isPartly: true }, 40],
  ["the smaller, where the two are one", { gpus: [integrated] }, 12],
  [
    "the machine's, where the two are one and it has less",
    { gpus: [integrated], availableBytes: 5 },
    5,
  ],
  [
    "the machine's once, where the two are one and some layers stay",
    { gpus: [integrated], isPartly: true },
    16,
  ],
];

for (const [what, given, free] of cases)
  test(`a shard may take ${what}`, () => {
    const none = { availableBytes: 16, gpus: [], onGpusBytes: 0 };
    assert.equal(memoryForShards({ ...none, isPartly: false, ...given }), free);
  });
