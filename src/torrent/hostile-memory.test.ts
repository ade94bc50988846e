/** All liars at once, in a process of their own: what they cost in memory is nobody else's. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { within } from "../../test/support/network.ts";
import { BYTES, liar, LIES, ROOT } from "./liars.double.ts";
import { MIB, swarmNode, wanted } from "./transfer.double.ts";

// Not met yet, and therefore no green test: with more liars than a download has links the honest source comes late, and what the liars of this
// same process flood meanwhile takes up to 1 GB. Whose memory that is, the node's or theirs, has to be measured in two processes.
const todo = "it takes a minute or two and up to 1 GB in most runs";

test("all of them at once cost no more than 200 MB", { todo }, async (t) => {
  const node = await swarmNode(t, { download: { stallMs: 800 } });
  const honest = await swarmNode(t, { upload: { bytesPerSecond: 4 * MIB } });
  honest.store.add(BYTES);
  const liars = await Promise.all(LIES.map(({ answer: lie }) => liar(t, lie)));
  const before = process.memoryUsage().rss;
  let most = before;
  await within(
    node.downloads.download({
      ...wanted(ROOT),
      sources: [...liars.map(({ spec }) => spec), honest.spec("TCP")],
      onProgress: () => {
        most = Math.max(most, process.memoryUsage().rss);
      },
    }),
    "the download",
    150_000,
  );
  assert.equal(Buffer.compare(node.store.bytes(ROOT)!, BYTES), 0);
  const grownMb = (most - before) / 1e6;
  // The liars themselves live in this process too.
  assert.ok(grownMb < 200, `${grownMb} MB more`);
});
