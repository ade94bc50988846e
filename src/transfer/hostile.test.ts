/** Sources that lie, stall and flood: the download finishes from the honest one, with nothing of theirs in it. */
import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { within } from "../../test/support/network.ts";
import {
  type Liar,
  startLiar,
  startWireLiar,
} from "../../test/fakes/malicious-hosts.ts";
import { liesAbout } from "../../test/fakes/malicious-peers.ts";
import { metadataOf } from "../../test/fakes/store.ts";
import { DEFAULTS } from "./defaults.ts";
import {
  MIB,
  randomBytes,
  swarmNode,
  wanted,
} from "../../test/fakes/transfer.ts";
import { wireLiesAbout } from "../../test/fakes/malicious-wires.ts";

const BYTES = randomBytes(5 * MIB + 777);
const METADATA = metadataOf(BYTES);
const { root: ROOT } = METADATA;
/** Late data may be 32 MiB; the rest is what the sockets hold. */
const MAX_FLOOD_BYTES = 64 * MIB;

/** Asks the liar first, then the honest source too. Ends with the whole content. Returns who was banned, and why. */
async function fetchFrom(
  t: TestContext,
  liar: Liar,
  { banned, sized }: { banned?: string | undefined; sized: boolean },
): Promise<[source: string, root: string, code: string][]> {
  t.after(liar.stop);
  const node = await swarmNode(t, { download: { stallMs: 800 } });
  const honest = await swarmNode(t);
  honest.store.add(BYTES);
  const done = node.downloads.download({
    ...wanted(ROOT),
    ...(sized && { sizeBytes: BYTES.length }),
    sources: [liar.spec],
  });
  await within(liar.asked, "the liar to be asked");
  if (banned !== undefined) {
    await node.events.when(({ fields }) => fields.code === banned, "the ban");
  }
  node.downloads.addSource(ROOT, honest.spec("TCP"));
  await within(done, "the download");
  assert.equal(Buffer.compare(node.store.bytes(ROOT)!, BYTES), 0);
  if (banned !== undefined) await within(liar.over, "the end of its stream");
  return node.bans.map(({ source, root, reason }) => [
    source,
    root,
    reason.code,
  ]);
}

describe("a source that answers with", () => {
  const subject = { metadata: METADATA, bytes: BYTES };
  for (const { name, answer, banned, sized = false } of liesAbout(subject)) {
    test(name, async (t) => {
      const liar = await startLiar(answer);
      const { peerId } = liar.spec;
      assert.deepEqual(
        await fetchFrom(t, liar, { banned, sized }),
        banned === undefined ? [] : [[peerId, ROOT, banned]],
      );
    });
  }
});

describe("a source that sends", () => {
  for (const lie of wireLiesAbout(BYTES.length)) {
    const { name, banned } = lie;
    test(name, async (t) => {
      const liar = await startWireLiar(lie);
      const bans = await fetchFrom(t, liar, { banned, sized: false });
      const { peerId } = liar.spec;
      if (banned !== undefined)
        assert.deepEqual(bans, [[peerId, ROOT, banned]]);
      await within(liar.over, "the end of the flood");
      assert.ok(liar.sentBytes() < MAX_FLOOD_BYTES, `${liar.sentBytes()} sent`);
    });
  }
});

test("more silent sources than links do not keep a download from the honest one", async (t) => {
  const silent = liesAbout({ metadata: METADATA, bytes: BYTES }).find(
    ({ name }) => name === "silence from the start",
  )!;
  const liars = await Promise.all(
    Array.from({ length: DEFAULTS.linksPerDownload + 2 }, () =>
      startLiar(silent.answer),
    ),
  );
  t.after(() => Promise.all(liars.map((liar) => liar.stop())));
  const node = await swarmNode(t, { download: { stallMs: 800 } });
  const honest = await swarmNode(t);
  honest.store.add(BYTES);
  const done = node.downloads.download({
    ...wanted(ROOT),
    sources: [...liars.map(({ spec }) => spec), honest.spec("TCP")],
  });
  await within(done, "the download");
  assert.equal(Buffer.compare(node.store.bytes(ROOT)!, BYTES), 0);
  const linked = liars.slice(0, DEFAULTS.linksPerDownload);
  await within(
    Promise.all(linked.map(({ asked }) => asked)),
    "all to be asked",
  );
});
