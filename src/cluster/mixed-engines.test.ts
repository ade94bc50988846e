/** When a cluster says that its members compute with different engines. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeState } from "../status/index.ts";
import { mixedEngines } from "./mixed-engines.ts";

const CPU = "llama.cpp v0.5.0 on CPU";
const holder = (
  engine?: string,
  state: NodeState = "ready",
): { engine?: string; state: NodeState } => ({
  state,
  ...(engine !== undefined && { engine }),
});

test("the same library and kind of processor are not mixed, whatever a card's number is", () => {
  for (const engines of [
    [],
    [CPU],
    [CPU, CPU],
    [CPU, undefined],
    [
      "llama.cpp v0.5.0 on CUDA0 NVIDIA H100",
      "llama.cpp v0.5.0 on CUDA1 NVIDIA H100",
    ],
  ])
    assert.equal(mixedEngines(engines.map((e) => holder(e))), undefined);
});

test("another version, another processor or another card is named", () => {
  const versions = [CPU, "llama.cpp v0.4.0 on CPU"];
  assert.equal(
    mixedEngines(versions.map((e) => holder(e))),
    "the nodes compute with different engines, so a reply may differ from one machine's: llama.cpp v0.4.0 on CPU, llama.cpp v0.5.0 on CPU",
  );
  const cards = ["CPU", "CUDA1 A", "CUDA0 B", "Vulkan0 A", "Vulkan2 A"];
  assert.equal(
    mixedEngines(cards.map((card) => holder(`llama.cpp v0.5.0 on ${card}`))),
    "the nodes compute with different engines, so a reply may differ from one machine's: llama.cpp v0.5.0 on CPU, llama.cpp v0.5.0 on CUDA A, llama.cpp v0.5.0 on CUDA B and 1 more",
  );
});

test("only a ready holder computes", () => {
  const other = "llama.cpp v0.4.0 on CPU";
  for (const state of ["loading", "draining"] as const)
    assert.equal(mixedEngines([holder(CPU), holder(other, state)]), undefined);
});
