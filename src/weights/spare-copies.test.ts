/** How a member's spare folder follows its cluster; catalog/plan-spare-copies.test.ts tests which parts it keeps. */
import assert from "node:assert/strict";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import { until } from "../../test/support/until.ts";
import { Watched } from "../../test/support/network.ts";
import type { ClusterRecord } from "../cluster/index.ts";
import { ShoalError } from "../lib/index.ts";
import type { Manifest } from "../model/index.ts";
import type { PartHolders } from "../catalog/index.ts";
import type { Root } from "../store/index.ts";
import type { FetchOptions } from "./shared-files.ts";
import { SpareCopies, type SpareCopiesOptions } from "./spare-copies.ts";
import { SpareFolder } from "./spare-folder.ts";

const MODEL = "model-1";
const SIZE = 100_000;
const PARTS = ["layer.0", "layer.1", "layer.2", "layer.3"];
const rootOf = (part: string): Root =>
  Buffer.from(part).toString("hex").padEnd(64, "0");

interface Setting {
  folder: string;
  events: Watched;
  fetched: string[];
  /** Parts that are shared from here. */
  served: Set<string>;
  /** Whole copies at other members. */
  others: Map<string, number>;
  /** False: nobody answers. */
  answers: boolean;
  files: () => Promise<string[]>;
  start: (offered: number, options?: Partial<SpareCopiesOptions>) => void;
}

async function setting(t: TestContext): Promise<Setting> {
  const folder = await temporaryFolder(t);
  const events = new Watched();
  const manifest = {
    name: "m",
    parts: PARTS.map((id) => ({
      id,
      root: Buffer.from(rootOf(id), "hex"),
      sizeBytes: SIZE,
    })),
  } as unknown as Manifest;
  const self: Setting = {
    folder,
    events,
    fetched: [],
    served: new Set(),
    others: new Map(),
    answers: true,
    files: async () =>
      (await readdir(join(folder, MODEL)).catch((): string[] => [])).toSorted(),
    start: (offered, options = {}) => {
      const propagation = new SpareCopies({
        cluster: "c",
        record: () =>
          ({ manifest: MODEL, replication: 2 }) as unknown as ClusterRecord,
        files: {
          endpoint: () => ({ peer: "me", addresses: [] }),
          holds: (root) => [...self.served].some((p) => rootOf(p) === root),
          listParts: async () => {
            if (!self.answers)
              throw new ShoalError("BOOTSTRAP_UNREACHABLE", "nobody");
            return PARTS.map((part) => listed(part, self));
          },
          fetch: async ({ path, root }: FetchOptions) => {
            const part = PARTS.find((p) => rootOf(p) === root) ?? "";
            self.fetched.push(part);
            await writeFile(path, Buffer.alloc(SIZE));
            self.served.add(part);
            return path;
          },
        },
        manifestOf: async () => manifest,
        spare: new SpareFolder(folder, offered),
        wanted: () => new Set([MODEL]),
        isIndexed: () => true,
        events,
        everyMs: 20,
        ...options,
      });
      propagation.start();
      t.after(() => propagation.stop());
    },
  };
  return self;
}

function listed(part: string, { served, others }: Setting): PartHolders {
  const count = others.get(part) ?? 0;
  const holders = Array.from({ length: count }, (_, i) => ({
    peer: `other ${i}`,
    whole: true,
    spare: false,
  }));
  const own = { peer: "me", whole: true, spare: true };
  return {
    root: rootOf(part),
    sizeBytes: SIZE,
    name: part,
    holders: served.has(part) ? [...holders, own] : holders,
  };
}

/** As an earlier run left it. */
async function put(
  { folder, served }: Setting,
  model: string,
  parts: readonly string[],
): Promise<void> {
  await mkdir(join(folder, model), { recursive: true });
  for (const part of parts) {
    await writeFile(join(folder, model, part), Buffer.alloc(SIZE));
    if (model === MODEL) served.add(part);
  }
}

test("a lower limit drops the parts with the most other copies", async (t) => {
  const self = await setting(t);
  await put(self, MODEL, PARTS);
  self.others = new Map([
    ["layer.0", 1],
    ["layer.1", 0],
    ["layer.2", 5],
    ["layer.3", 2],
  ]);
  self.start(2 * SIZE);
  await until("room", async () => (await self.files()).length === 2);
  assert.deepEqual(await self.files(), ["layer.0", "layer.1"]);
  assert.deepEqual(self.fetched, []);
  assert.ok(
    self.events.seen.some(
      ({ message }) =>
        message === "removed layer.2 of m: the spare-disk limit was lowered",
    ),
  );
});

test("a lower limit first drops a model that no cluster serves", async (t) => {
  const self = await setting(t);
  await put(self, "model-0", ["layer.0", "layer.1"]);
  await put(self, MODEL, ["layer.0", "layer.1"]);
  for (const part of PARTS) self.others.set(part, 2);
  self.start(2 * SIZE);
  await until(
    "the other to go",
    async () => (await readdir(self.folder)).length === 1,
  );
  assert.deepEqual(await self.files(), ["layer.0", "layer.1"]);
});

test("a download of an earlier run without room is not resumed", async (t) => {
  const self = await setting(t);
  await put(self, MODEL, ["layer.0"]);
  await writeFile(join(self.folder, MODEL, "layer.1.part"), Buffer.alloc(SIZE));
  for (const part of PARTS) self.others.set(part, 2);
  self.others.set("layer.0", 0);
  self.start(SIZE + 10);
  await until("room", async () => (await self.files()).length === 1);
  await until("another look", () =>
    self.events.seen.some(({ message }) => message.includes("under target")),
  );
  assert.deepEqual(await self.files(), ["layer.0"]);
  assert.deepEqual(self.fetched, []);
});

test("a complete but unshared file is downloaded again after the folder was scanned", async (t) => {
  const self = await setting(t);
  await put(self, MODEL, ["layer.0", "layer.1"]);
  for (const part of PARTS) self.others.set(part, 2);
  self.served.delete("layer.1");
  let isIndexed = false;
  self.start(10 * SIZE, { isIndexed: () => isIndexed });
  await self.events.when(
    ({ message }) => message === "every part has 2 copies",
    "a look",
  );
  assert.deepEqual(self.fetched, []);
  isIndexed = true;
  await until("it to be served", () => self.served.has("layer.1"));
  assert.deepEqual(self.fetched, ["layer.1"]);
});
