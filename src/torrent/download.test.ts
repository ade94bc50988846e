import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { TRANSPORTS, within } from "../../test/support/network.ts";
import { MIB, randomBytes, swarmNode, wanted } from "./transfer.double.ts";

for (const transport of TRANSPORTS) {
  describe(`a download over ${transport}`, () => {
    test("comes whole from one source", async (t) => {
      const [seeder, node] = [await swarmNode(t), await swarmNode(t)];
      const bytes = randomBytes(12 * MIB + 12_345);
      const { root } = seeder.store.add(bytes);
      const t0 = performance.now();
      const path = await within(
        node.downloads.download({
          ...wanted(root),
          sources: [seeder.spec(transport)],
        }),
        "the download",
      );
      console.log(transport, performance.now() - t0);
      assert.equal(path, wanted(root).path);
      assert.equal(Buffer.compare(node.store.bytes(root)!, bytes), 0);
      assert.equal(seeder.uploads.stats().pieces[root], 13);
    });
  });
}
