/** Ranges of layers in words. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { layersOf } from "./route.ts";

test("layers are named as people count", () => {
  assert.equal(layersOf({ layerStart: 2, layerEnd: 4 }), "layers 2-3");
  assert.equal(layersOf({ layerStart: 2, layerEnd: 3 }), "layer 2");
});
