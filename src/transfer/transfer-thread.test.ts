/** Transfers in a thread of their own do what they do in this thread, and a thread that dies is replaced without losing a download. */
import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import { writeRandomModel } from "../../test/support/models.ts";
import {
  LOOPBACK,
  PATIENCE_MS,
  Watched,
  within,
} from "../../test/support/network.ts";
import { isShoalError, merkleRoot, ShoalError, sleep } from "../lib/index.ts";
import { MODEL } from "../../test/fakes/store-folders.ts";
import { toRoot, type Content } from "../store/index.ts";
import { TransferThread } from "./transfer-thread.ts";
import {
  LocalTransfer,
  type Transfer,
  type TransferOptions,
} from "./transfer.ts";

interface Ends {
  seeder: Transfer;
  node: Transfer;
  folder: string;
  model: string;
  events: Watched;
  /** One of the seeder's contents. */
  content: Content;
}

type Make = (options: TransferOptions, events: Watched) => Promise<Transfer>;

const threads: Make = async (options, events) =>
  new TransferThread(options, events);

const WAYS: readonly [string, Make][] = [
  ["in a thread", threads],
  [
    "in the same thread",
    (options, events) => LocalTransfer.create(options, events),
  ],
];

async function ends(t: TestContext, make: Make): Promise<Ends> {
  const stops: (() => Promise<void>)[] = [];
  // Registered first, so it runs first: a folder that is still being written to cannot be removed.
  t.after(() => Promise.all(stops.map((stop) => stop())));
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
    stops.push(() => transfer.stop());
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

/** Resolves when this much was sent; each answer of the thread lets it continue. */
async function uploaded(seeder: Transfer, sizeBytes: number): Promise<void> {
  const untilMs = performance.now() + PATIENCE_MS;
  for (;;) {
    const { bytes } = (await seeder.stats()).uploads;
    if (bytes >= sizeBytes) return;
    assert.ok(performance.now() < untilMs, `${bytes} of ${sizeBytes} sent`);
    await sleep(10);
  }
}

for (const [name, make] of WAYS) {
  describe(`a transfer ${name}`, () => {
    test("downloads, shares, and reports what it has", async (t) => {
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
      // Counted once the stream accepted it, which may be after it arrived.
      await uploaded(seeder, sizeBytes);
      // The other way round: it shares what it downloaded.
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

    test("accepts sources while it runs, stops when told to, and reports why it failed", async (t) => {
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

    test("shares with the given peers at the given speed", async (t) => {
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

    test("may be stopped twice, and then does nothing", async (t) => {
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

/** Its thread dies when `kill` is called. */
function mortal(
  t: TestContext,
  options: TransferOptions,
  events: Watched,
): { transfer: TransferThread; kill: () => void } {
  const entry = new URL("../../test/fakes/transfer-worker.ts", import.meta.url);
  const transfer = new TransferThread(options, events, { entry });
  const channel = new BroadcastChannel(options.store.stateDir);
  t.after(() => channel.close());
  return { transfer, kill: () => channel.postMessage("die") };
}

test("a dead thread is reported, and another continues the download", async (t) => {
  let node: Transfer | undefined;
  t.after(() => node?.stop());
  const { seeder, folder, content, events } = await ends(t, threads);
  const { root, sizeBytes } = content.metadata;
  const { peer: peerId, addresses } = seeder.endpoint();
  const keyPath = join(folder, "mortal.key");
  const { transfer, kill } = mortal(
    t,
    {
      host: { listen: LOOPBACK, keyPath },
      store: { directories: [], stateDir: join(folder, "mortal") },
    },
    events,
  );
  node = transfer;
  await transfer.start();
  await transfer.index();
  const before = transfer.endpoint();
  const path = join(folder, "layer.1");
  const order = { root, path, name: "layer.1", kind: "part" } as const;
  // The whole would take three seconds.
  seeder.setLimits({ uploadBytesPerSecond: sizeBytes / 3 });
  let isKilled = false;
  const done = transfer.download({
    ...order,
    sources: [{ kind: "peer", peerId, addresses }],
    onProgress: ({ doneBytes }) => {
      if (doneBytes === 0 || isKilled) return;
      isKilled = true;
      kill();
    },
  });
  const death = await events.when(
    ({ fields }) => fields.code === "TRANSFER_DIED",
    "the death to be reported",
  );
  assert.match(death.message, /told to die/);
  await assert.rejects(transfer.stats(), (error) =>
    isShoalError(error, "TRANSFER_DIED"),
  );
  assert.equal(await within(done, "the download"), path);
  assert.equal(toRoot(merkleRoot(await readFile(path))), root);
  const [, again] = events.seen.filter(
    ({ message, fields }) =>
      message === "downloading layer.1" && fields.root === root,
  );
  assert.ok(Number(again?.fields.resumed) > 0, "it resumed");
  const { downloads } = await transfer.stats();
  assert.ok(downloads.bytes < sizeBytes, `${downloads.bytes} fetched again`);
  assert.equal(transfer.endpoint().peer, before.peer);
  assert.notDeepEqual(transfer.endpoint().addresses, before.addresses);
  assert.ok(transfer.get(root) !== undefined, "it is listed");
});

test("a download is stopped while no thread runs", async (t) => {
  let stop = async (): Promise<void> => {};
  t.after(() => stop());
  const folder = await temporaryFolder(t);
  const events = new Watched();
  const { transfer, kill } = mortal(
    t,
    {
      host: { listen: [] },
      store: { directories: [], stateDir: join(folder, "state") },
    },
    events,
  );
  stop = () => transfer.stop();
  await transfer.start();
  const controller = new AbortController();
  const running = transfer.download({
    root: "00".repeat(32),
    path: join(folder, "layer.1"),
    name: "layer.1",
    kind: "part",
    signal: controller.signal,
  });
  const ended = assert.rejects(running, (error) =>
    isShoalError(error, "ABORTED"),
  );
  kill();
  await events.when(
    ({ fields }) => fields.code === "TRANSFER_DIED",
    "the death to be reported",
  );
  controller.abort();
  await within(ended, "the end");
});

test("a port in use is reported with its code", async (t) => {
  const stops: (() => Promise<void>)[] = [];
  t.after(() => Promise.all(stops.map((stop) => stop())));
  const folder = await temporaryFolder(t);
  const options = (listen: string[]): TransferOptions => ({
    host: { listen },
    store: { directories: [], stateDir: folder },
  });
  const events = new Watched();
  const first = new TransferThread(options(LOOPBACK), events);
  stops.push(() => first.stop());
  await first.start();
  const [taken = ""] = first
    .endpoint()
    .addresses.filter((a) => a.includes("/tcp/"));
  const second = new TransferThread(
    options([taken.replace(/\/p2p\/.*/, "")]),
    events,
  );
  stops.push(() => second.stop());
  await assert.rejects(second.start(), (error) =>
    isShoalError(error, "PORT_IN_USE"),
  );
});
