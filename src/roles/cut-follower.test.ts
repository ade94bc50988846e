/** What a node does for another cut: when it loads a stage of it, when it does not, and when it gives a range back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Events, type ShoalEvent } from "../lib/index.ts";
import type { LayerRange, Manifest } from "../model/index.ts";
import { type Cut, firstCut, planShards, toldCut } from "../placement/index.ts";
import type { NodeState } from "../status/index.ts";
import { until } from "../../test/support/until.ts";
import { CutFollower, type CutFollowerOptions } from "./cut-follower.ts";
import type { SwarmNow } from "./model-swarm.ts";

const MiB = 2 ** 20;
const LAYERS = 6;
const part = (id: string) => ({
  id,
  sizeBytes: MiB,
  root: new Uint8Array(32),
  tensors: [],
});
const layers = Array.from({ length: LAYERS }, (_, i) => i);
const manifest = {
  name: "m",
  layerCount: LAYERS,
  embeddingLength: 64,
  contextLength: 4_096,
  vocabSize: 100,
  tied: false,
  cuts: { borders: layers.slice(1), needs: [], refusedLengths: [] },
  layerCosts: layers.map(() => MiB),
  layerMemory: layers.map(() => ({ bytesPerToken: 64, bytesPerSession: 0 })),
  parts: [
    part("metadata"),
    part("embedding"),
    ...layers.map((i) => part(`layer.${i}`)),
    part("output"),
  ],
} as unknown as Manifest;

const first = firstCut(manifest, 3);
const next: Cut = {
  version: 1,
  ranges: [
    { layerStart: 0, layerEnd: 1 },
    { layerStart: 1, layerEnd: 3 },
    { layerStart: 3, layerEnd: 6 },
  ],
};

type Held = { range: LayerRange; cut: Cut | undefined; state: NodeState };

/** A node "me" that holds stage 1, among others that hold the rest. */
function scene(changes: Partial<CutFollowerOptions> = {}) {
  const held: Held[] = [
    { range: first.ranges[1]!, cut: first, state: "ready" },
  ];
  const others = [first.ranges[0]!, first.ranges[2]!].map((range, i) => ({
    peer: `other-${i}`,
    range,
    cut: first as Cut | undefined,
    state: "ready" as NodeState,
  }));
  const seen = {
    inForce: first,
    otherCuts: [] as Cut[],
    fetched: [] as string[],
    released: [] as string[],
    followed: undefined as Cut | undefined,
    settled: 0,
    moved: 0,
  };
  const now = (): SwarmNow =>
    ({
      manifest: "id",
      contextLength: 512,
      sessions: 1,
      cut: seen.inForce,
      otherCuts: seen.otherCuts,
      shards: planShards(manifest, seen.inForce.ranges),
      announcements: [
        ...held.map((one) => ({ peer: "me", ...one })),
        ...others,
      ].map(({ peer, range, cut, state }) => ({
        peer,
        manifest: "id",
        ...range,
        state,
        contextLength: 512,
        sessions: { active: 0, max: 1 },
        cut: cut && toldCut(cut),
      })),
    }) as unknown as SwarmNow;
  const planned = (index: number, { ranges }: Cut) => ({
    id: "id",
    manifest,
    range: ranges[index]!,
    number: { index, count: ranges.length },
  });
  const name = ({ layerStart, layerEnd }: LayerRange): string =>
    `${layerStart}-${layerEnd}`;
  const find = (range: LayerRange): Held | undefined =>
    held.find((one) => name(one.range) === name(range));
  const events: ShoalEvent[] = [];
  const log = new Events();
  log.subscribe((event) => events.push(event));
  const follower = new CutFollower({
    peer: "me",
    model: { id: "id", manifest },
    swarm: { now, planned, mostContext: () => 512 },
    shards: {
      holds: ({ range }: { range: LayerRange }) => find(range) !== undefined,
      isSettled: () => held.every(({ state }) => state === "ready"),
      movable: () =>
        held.flatMap((one) =>
          one.cut === undefined
            ? []
            : [
                {
                  ...one,
                  cut: one.cut,
                  planned: { ...planned(0, first), range: one.range },
                },
              ],
        ),
      follow: (cut: Cut) => (seen.followed = cut),
      claim: async (
        { range }: { range: LayerRange },
        _: unknown,
        how: { cut: Cut },
      ) => {
        held.push({ range, cut: how.cut, state: "joining" });
      },
      fetch: async (_: unknown, { range }: { range: LayerRange }) => {
        seen.fetched.push(name(range));
      },
      release: async ({ range }: { range: LayerRange }) => {
        seen.released.push(name(range));
        held.splice(held.indexOf(find(range)!), 1);
      },
      get count() {
        return held.length;
      },
    },
    setAside: { has: () => false },
    mayMove: () => true,
    onMoved: () => seen.moved++,
    settle: async () => void seen.settled++,
    freeMemoryBytes: () => 1_000 * MiB,
    events: log,
    ...changes,
  } as unknown as CutFollowerOptions);
  return { follower, held, others, seen, now };
}

const request = (changes: object = {}) => ({
  cluster: "c",
  manifest: "id",
  shard: { index: 1, count: 3 },
  ...next.ranges[1]!,
  cut: toldCut(next)!,
  ...changes,
});

test("asked to, a node loads its stage of the cut that is to be, beside what it holds", async () => {
  const { follower, held, seen } = scene();
  await follower.accept(request());
  await follower.stop();
  assert.deepEqual(seen.fetched, ["1-3"]);
  assert.equal(held.length, 2);
  // A second time it has nothing to do.
  held[1]!.state = "ready";
  await follower.accept(request());
  assert.deepEqual(seen.fetched, ["1-3"]);
});

const refusals: readonly [
  name: string,
  code: string,
  change: (s: ReturnType<typeof scene>) => object | void,
  options?: Partial<CutFollowerOptions>,
][] = [
  ["it does not move", "MOVE_REFUSED", () => {}, { mayMove: () => false }],
  ["the cut is not the next one", "MOVE_REFUSED", () => ({ cut: { ...toldCut(next)!, version: 2 } })],
  ["another change is on its way", "MOVE_REFUSED", ({ seen }) => void seen.otherCuts.push({ ...next, ranges: first.ranges })],
  ["the model is another one", "CLUSTER_MODEL_MISMATCH", () => ({ manifest: "other" })],
  ["the layers are not a stage of the cut", "MODEL_SHARDS", () => ({ layerEnd: 4 })],
  ["the cut is none of this model", "MODEL_SHARDS", () => ({ cut: { version: 1, borders: [3] } })],
  ["it is loading another shard", "BUSY", ({ held }) => void held.push({ range: { layerStart: 0, layerEnd: 2 }, cut: first, state: "loading" })],
  ["its engine failed with these layers before", "MOVE_REFUSED", () => {}, { setAside: { has: () => true } }],
  ["there is no memory beside what it holds", "MEMORY_INSUFFICIENT", () => {}, { freeMemoryBytes: () => MiB }],
]; // prettier-ignore
for (const [name, code, change, options] of refusals) {
  test(`a node loads nothing of another cut if ${name}`, async () => {
    const made = scene(options);
    const changes = change(made) ?? {};
    await assert.rejects(made.follower.accept(request(changes)), { code });
    assert.deepEqual(made.seen.fetched, []);
  });
}

/** It has loaded its stage of the new cut, and so have the others. */
function whole(): ReturnType<typeof scene> {
  const made = scene();
  made.held.push({ range: next.ranges[1]!, cut: next, state: "ready" });
  for (const [i, index] of [0, 2].entries())
    made.others.push({
      peer: `other-${i}`,
      range: next.ranges[index]!,
      cut: next,
      state: "ready",
    });
  made.seen.inForce = next;
  return made;
}

test("the old range is given back once the new cut has been whole for 5 s, and then a new agreement is needed", async () => {
  const { follower, seen, now } = whole();
  follower.look(now(), 0);
  follower.look(now(), 4_999);
  assert.deepEqual(seen.released, []);
  assert.deepEqual(seen.followed, next);
  follower.look(now(), 5_000);
  await follower.stop();
  assert.deepEqual(seen.released, ["2-5"]);
  assert.equal(seen.moved, 1);
  assert.equal(seen.settled, 0);
});

test("it is kept while a stage of the new cut has nobody", async () => {
  const { follower, seen, now, others } = whole();
  follower.look(now(), 0);
  others.splice(
    others.findIndex(({ range }) => range.layerStart === 3),
    1,
  );
  for (const nowMs of [4_000, 20_000, 60_000]) follower.look(now(), nowMs);
  await follower.stop();
  assert.deepEqual(seen.released, []);
});

test("a range that its operator named is never given back", async () => {
  const { follower, seen, now, held } = whole();
  held[0]!.cut = undefined;
  for (const nowMs of [0, 10_000, 100_000]) follower.look(now(), nowMs);
  await follower.stop();
  assert.deepEqual(seen.released, []);
});

test("a node that is left with nothing takes a shard again", async () => {
  const { follower, seen, now, held, others } = whole();
  held.splice(1, 1);
  others.push({ peer: "x", range: next.ranges[1]!, cut: next, state: "ready" });
  follower.look(now(), 0);
  follower.look(now(), 5_000);
  await until("it to settle", () => seen.settled === 1);
  assert.deepEqual(seen.released, ["2-5"]);
});

test("a new range is given back when nobody has gone on with the change for a minute", async () => {
  const { follower, seen, now, held, others } = scene();
  held.push({ range: next.ranges[1]!, cut: next, state: "ready" });
  const loading = {
    peer: "other-0",
    range: next.ranges[0]!,
    cut: next,
    state: "loading" as NodeState,
  };
  others.push(loading);
  seen.otherCuts = [next];
  for (const nowMs of [0, 100_000, 200_000]) follower.look(now(), nowMs);
  assert.deepEqual(seen.released, [], "somebody is loading");
  others.splice(others.indexOf(loading), 1);
  follower.look(now(), 201_000);
  follower.look(now(), 260_999);
  assert.deepEqual(seen.released, []);
  follower.look(now(), 261_000);
  await follower.stop();
  assert.deepEqual(seen.released, ["1-3"]);
  assert.equal(seen.moved, 0);
});
