/** Sources that lie, stall and flood: the download ends from the honest one, and nothing of theirs is in it. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { within } from "../../test/support/network.ts";
import { newIdentity } from "../network/identity.ts";
import { buildNode } from "../network/node.ts";
import { BYTES, liar, LIES, ROOT } from "./liars.double.ts";
import { swarmNode, wanted } from "./transfer.double.ts";
import { TORRENT_PROTOCOL } from "./wire.ts";

describe("a source that answers with", () => {
  for (const { name, answer: lie, banned, sized = false } of LIES) {
    test(name, async (t) => {
      const { spec, asked } = await liar(t, lie);
      const node = await swarmNode(t, { download: { stallMs: 800 } });
      const honest = await swarmNode(t);
      honest.store.add(BYTES);
      const done = node.downloads.download({
        ...wanted(ROOT),
        ...(sized && { sizeBytes: BYTES.length }),
        sources: [spec],
      });
      await within(asked, "the liar to be asked");
      if (banned !== undefined) {
        await node.events.when(
          ({ fields }) => fields.code === banned,
          "the ban",
        );
      }
      node.downloads.addSource(ROOT, honest.spec("TCP"));
      await within(done, "the download");
      assert.equal(Buffer.compare(node.store.bytes(ROOT)!, BYTES), 0);
      assert.deepEqual(
        node.bans.map((ban) => [ban.source, ban.root, ban.reason.code]),
        banned === undefined ? [] : [[spec.peerId, ROOT, banned]],
      );
    });
  }

  test("a length of 4 GiB, and then bytes without end", async (t) => {
    const { node: raw } = await buildNode({
      identity: await newIdentity(),
      listen: ["/ip4/127.0.0.1/tcp/0"],
      announce: [],
      nativeQuic: undefined,
      datastorePath: undefined,
      agentVersion: "0",
    });
    t.after(() => raw.stop());
    await raw.handle(TORRENT_PROTOCOL, (stream) => {
      const flood = (): void => {
        while (stream.status === "open" && stream.send(new Uint8Array(65_536)));
      };
      stream.addEventListener("drain", flood);
      stream.send(Uint8Array.of(0xff, 0xff, 0xff, 0xff));
      flood();
    });
    await raw.start();
    const node = await swarmNode(t);
    const honest = await swarmNode(t);
    honest.store.add(BYTES);
    const peerId = raw.peerId.toString();
    const addresses = raw.getMultiaddrs().map((a) => a.toString());
    const done = node.downloads.download({
      ...wanted(ROOT),
      sources: [{ kind: "peer", peerId, addresses }],
    });
    await node.events.when(
      ({ fields }) => fields.code === "FRAME_TOO_LARGE",
      "the ban",
    );
    node.downloads.addSource(ROOT, honest.spec("TCP"));
    await within(done, "the download");
    assert.equal(Buffer.compare(node.store.bytes(ROOT)!, BYTES), 0);
  });
});
