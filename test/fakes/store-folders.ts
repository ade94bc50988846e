/** Stores over a folder of a test's own. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { Events, type ShoalEvent } from "../../src/lib/index.ts";
import {
  pieceCount,
  verifyPiece,
  DiskStore,
  type DiskStoreOptions,
  type Content,
  type Root,
} from "../../src/store/index.ts";

export interface StoreFixture {
  folder: string;
  /** The directory that its stores look through. */
  models: string;
  /** What they said. */
  events: ShoalEvent[];
  start: (options?: Partial<DiskStoreOptions>) => Promise<DiskStore>;
}

/** After the test its stores are stopped, then the folder is removed. */
export async function storeFixture(t: TestContext): Promise<StoreFixture> {
  const folder = await mkdtemp(join(tmpdir(), "shoal-test-"));
  const models = join(folder, "models");
  await mkdir(models);
  const stores: DiskStore[] = [];
  const events: ShoalEvent[] = [];
  t.after(async () => {
    for (const store of stores) await store.stop();
    await rm(folder, { recursive: true });
  });
  return {
    folder,
    models,
    events,
    start: async (options = {}) => {
      const log = new Events();
      log.subscribe((event) => events.push(event));
      const store = new DiskStore({
        directories: [models],
        stateDir: join(folder, "state"),
        events: log,
        settleMs: 0,
        debounceMs: 10,
        ...options,
      });
      stores.push(store);
      await store.start();
      return store;
    },
  };
}

/** Layers of 2.6 MB: three pieces each. */
export const MODEL = {
  layers: 4,
  embeddingLength: 256,
  feedForward: 704,
  tied: true,
  vocab: "bytes",
} as const;

/** The whole content, each piece verified. */
export async function read(store: DiskStore, root: Root): Promise<Buffer> {
  const content = store.get(root);
  assert.ok(content, `no ${root}`);
  const pieces: Uint8Array[] = [];
  for (let i = 0; i < pieceCount(content.metadata.sizeBytes); i++) {
    const piece = await store.readPiece(root, i);
    verifyPiece(content.metadata, i, piece);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

export function rootsOf(store: DiskStore): Root[] {
  return store
    .list()
    .map(({ metadata }) => metadata.root)
    .toSorted();
}

export function named(store: DiskStore, name: string): Content {
  const [content, another] = store.list().filter((each) => each.name === name);
  assert.ok(content, `no content called ${name}`);
  assert.equal(another, undefined, `two contents called ${name}`);
  return content;
}

/** Resolves when the store says that `isSo`. */
export async function until(
  store: DiskStore,
  isSo: () => boolean,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = store.onChange(() => isSo() && resolve());
  if (isSo()) resolve();
  await promise;
  end();
}
