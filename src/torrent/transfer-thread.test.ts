import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import { writeRandomModel } from "../../test/support/models.ts";
import { LOOPBACK, Watched, within } from "../../test/support/network.ts";
import { isShoalError, merkleRoot, ShoalError } from "../lib/index.ts";
import { MODEL } from "./store.fixture.ts";
import { toRoot } from "./piece-tree.ts";
import { TransferThread } from "./transfer-thread.ts";
import {
  LocalTransfer,
  type Transfer,
  type TransferOptions,
} from "./transfer.ts";
import type { Content } from "./types.ts";

interface Ends {
  seeder: Transfer;
  node: Transfer;
  folder: string;
  model: string;
  events: Watched;
  /** A content of the seeder's. */
  content: Content;
}

type Make = (options: TransferOptions, events: Watched) => Promise<Transfer>;

const WAYS: readonly [string, Make][] = [
  [
    "in a thread",
    async (options, events) => new TransferThread(options, events),
  ],
  [
    "in the same thread",
    (options, events) => LocalTransfer.create(options, events),
  ],
];

async function ends(t: TestContext, make: Make): Promise<Ends> {
  const folder = await temporaryFolder(t);
  const events = new Watched();
  const side = async (name: string): Promise<Transfer> => {
    const models = join(folder, name);
    await mkdir(models, { recursive: true });
    const transfer = await make(
      {
        host: { listen: LOOPBACK },
        store: {
          directories: [models],
          stateDir: join(folder, `${name}-state`),
          settleMs: 0,
        },
      },
      events,
    );
    t.after(() => transfer.stop());
    return transfer;
  };
  const model = join(folder, "seeder", "model.gguf");
  await mkdir(join(folder, "seeder"));
  await writeRandomModel(model, MODEL);
  const [seeder, node] = [await side("seeder"), await side("node")];
  await Promise.all([seeder.start(), node.start()]);
  await Promise.all([seeder.index(), node.index()]);
  const content = seeder.list().find((c) => c.name.startsWith("layer.1"));
  assert.ok(content !== undefined, "the seeder has parts");
  return { seeder, node, folder, model, events, content };
}

for (const [name, make] of WAYS) {
  describe(`a transfer ${name}`, () => {
    test("downloads, serves on, and tells what it has", async (t) => {
      const { seeder, node, folder, content } = await ends(t, make);
      const { root, sizeBytes } = content.metadata;
      const { peer, addresses } = seeder.endpoint();
      assert.notEqual(peer, node.endpoint().peer);
      const here = new Promise<void>((resolve) => {
        node.onChange(() => {
          if (node.get(root) !== undefined) resolve();
        });
      });
      let last = 0;
      const path = join(folder, "node", "layer.1");
      const order = { root, path, name: "layer.1", kind: "part" } as const;
      const done = await within(
        node.download({
          ...order,
          sources: [{ kind: "peer", peerId: peer, addresses }],
          onProgress: ({ doneBytes }) => {
            last = doneBytes;
          },
        }),
        "the download",
      );
      assert.equal(done, path);
      assert.equal(toRoot(merkleRoot(await readFile(path))), root);
      await within(here, "the content to be listed");
      assert.equal(last, sizeBytes);
      const stats = await node.stats();
      assert.ok(stats.downloads.bytes >= sizeBytes);
      assert.ok((await seeder.stats()).uploads.bytes >= sizeBytes);
      // The other way round: what was fetched is served.
      const again = join(folder, "seeder-again");
      await within(
        seeder.download({
          ...order,
          path: again,
          sources: [
            {
              kind: "peer",
              peerId: node.endpoint().peer,
              addresses: node.endpoint().addresses,
            },
          ],
        }),
        "the way back",
      ).catch((error: unknown) => {
        // A store may refuse to fetch what it has.
        assert.ok(isShoalError(error, "CONTENT_BUSY"), String(error));
      });
    });

    test("takes sources while it runs, stops when told, and says why it failed", async (t) => {
      const { seeder, node, folder, content } = await ends(t, make);
      const { root } = content.metadata;
      const path = join(folder, "node", "layer.1");
      const order = { root, path, name: "layer.1", kind: "part" } as const;
      const controller = new AbortController();
      const stopped = node.download({ ...order, signal: controller.signal });
      await assert.rejects(node.download(order), (error) =>
        isShoalError(error, "CONTENT_BUSY"),
      );
      controller.abort();
      await assert.rejects(within(stopped, "the stop"), (error) =>
        isShoalError(error, "ABORTED"),
      );
      await assert.rejects(
        within(node.download({ ...order, unavailableMs: 300 }), "the end"),
        (error) => isShoalError(error, "CONTENT_UNAVAILABLE"),
      );
      async function* late(): AsyncGenerator<never> {
        throw new ShoalError("COMMAND_UNKNOWN", "nobody to ask");
      }
      await assert.rejects(
        within(node.download({ ...order, sources: late() }), "the end"),
        (error) => isShoalError(error, "COMMAND_UNKNOWN"),
      );
      const done = node.download(order);
      const { peer: peerId, addresses } = seeder.endpoint();
      node.addSource(root, { kind: "peer", peerId, addresses });
      assert.equal(await within(done, "the download"), path);
    });

    test("serves whom it is told to, at the speed it is told", async (t) => {
      const { seeder, node, folder, content } = await ends(t, make);
      const { root } = content.metadata;
      const { peer: peerId, addresses } = seeder.endpoint();
      const order = {
        root,
        path: join(folder, "node", "layer.1"),
        name: "layer.1",
        kind: "part",
        sources: [{ kind: "peer", peerId, addresses }],
        unavailableMs: 400,
      } as const;
      seeder.setAllowed(["12D3KooWnobody"]);
      await assert.rejects(within(node.download(order), "the end"), (error) =>
        isShoalError(error, "CONTENT_UNAVAILABLE"),
      );
      seeder.setAllowed(undefined);
      seeder.setLimits({ uploadBytesPerSecond: 4 * 2 ** 20, uploadSlots: 2 });
      node.setLimits({ downloadBytesPerSecond: 64 * 2 ** 20 });
      node.setPrimary([order.path]);
      await within(
        node.download({ ...order, unavailableMs: 20_000 }),
        "the download",
      );
    });

    test("stops twice without harm, and then does nothing", async (t) => {
      const { node, content } = await ends(t, make);
      const { root } = content.metadata;
      const order = { root, path: "/nowhere", name: "", kind: "part" } as const;
      const running = node.download(order);
      const ended = assert.rejects(within(running, "its end"));
      await Promise.all([node.stop(), node.stop()]);
      await ended;
      await assert.rejects(node.download(order));
    });
  });
}

test("a port in use is told with its code", async (t) => {
  const folder = await temporaryFolder(t);
  const options = (listen: string[]): TransferOptions => ({
    host: { listen },
    store: { directories: [], stateDir: folder },
  });
  const events = new Watched();
  const first = new TransferThread(options(LOOPBACK), events);
  t.after(() => first.stop());
  await first.start();
  const [taken = ""] = first
    .endpoint()
    .addresses.filter((a) => a.includes("/tcp/"));
  const second = new TransferThread(
    options([taken.replace(/\/p2p\/.*/, "")]),
    events,
  );
  t.after(() => second.stop());
  await assert.rejects(second.start(), (error) =>
    isShoalError(error, "PORT_IN_USE"),
  );
});
