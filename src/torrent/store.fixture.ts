/** Stores over a folder of a test's own. */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { Events, type ShoalEvent } from "../lib/index.ts";
import { TorrentStore, type TorrentStoreOptions } from "./store.ts";

export interface StoreFixture {
  folder: string;
  /** The directory that its stores look through. */
  models: string;
  /** What they said. */
  events: ShoalEvent[];
  start: (options?: Partial<TorrentStoreOptions>) => Promise<TorrentStore>;
}

/** After the test its stores are stopped, then the folder is removed. */
export async function storeFixture(t: TestContext): Promise<StoreFixture> {
  const folder = await mkdtemp(join(tmpdir(), "shoal-test-"));
  const models = join(folder, "models");
  await mkdir(models);
  const stores: TorrentStore[] = [];
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
      const store = new TorrentStore({
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
