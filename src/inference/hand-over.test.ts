import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import type { Announcement } from "../cluster/index.ts";
import { Events, isShoalError, ShoalError } from "../lib/index.ts";
import type { Commands } from "../network/index.ts";
import { HandOver, type Move, movesOf, takenBy } from "./hand-over.ts";
import type { RouteStage } from "./route.ts";
import { mayGive } from "./taking.ts";

const MANIFEST = "m";
const stage = (peer: string, at: number): RouteStage => ({
  peer,
  layerStart: at,
  layerEnd: at + 2,
  addresses: [`/ip4/10.0.0.1/tcp/${at}`],
});
const ROUTE = [stage("a", 0), stage("b", 2)];
const AVX2 = "llama.cpp v0.5.0 on CPU AVX2";

function holder(
  peer: string,
  at: number,
  more: Partial<Announcement> = {},
): Announcement {
  const { addresses: _, ...range } = stage(peer, at);
  const sessions = { active: 1, max: 2 };
  const said = { manifest: MANIFEST, state: "ready", engine: AVX2, sessions };
  return { ...said, ...range, ...more } as Announcement;
}

const DRAINS = { state: "draining" } as const;

test("what drains goes to whom the next route has in its place", () => {
  const holders = [holder("a", 0), holder("b", 2, DRAINS), holder("c", 2)];
  let without: ReadonlySet<string> | undefined;
  const moves = movesOf(ROUTE, holders, (leaving) => {
    without = leaving;
    return [stage("a", 0), stage("c", 2)];
  });
  assert.deepEqual(moves, [{ index: 1, from: ROUTE[1], to: stage("c", 2) }]);
  assert.deepEqual([...without!], ["b"]);
});

test("nothing moves where nobody drains, nobody takes over or has room, the cut is another, or the bits are", () => {
  const drains = holder("b", 2, DRAINS);
  const c = stage("c", 2);
  const to =
    (...stages: RouteStage[]): (() => RouteStage[]) =>
    () =>
      stages;
  const nobody = movesOf(ROUTE, [holder("b", 2), holder("c", 2)], () => {
    throw new Error("not asked");
  });
  assert.deepEqual(nobody, []);
  assert.deepEqual(
    movesOf(ROUTE, [drains], () => undefined),
    [],
  );
  const other = { ...c, layerEnd: 3 };
  assert.deepEqual(movesOf(ROUTE, [drains, holder("c", 2)], to(other)), []);
  const card = holder("c", 2, { engine: "llama.cpp v0.5.0 on Vulkan0 X" });
  assert.deepEqual(movesOf(ROUTE, [drains, card], to(c)), []);
  const full = holder("c", 2, { sessions: { active: 2, max: 2 } });
  assert.deepEqual(movesOf(ROUTE, [drains, full], to(c)), []);
  const silent = holder("c", 2, { engine: undefined });
  assert.deepEqual(movesOf(ROUTE, [drains, silent], to(c)), []);
});

test("only another holder of the same layers, that computes alike, may give", () => {
  const own = holder("own", 2);
  const params = { manifest: MANIFEST, from: stage("b", 2), ticket: "" };
  const may = (...members: Announcement[]): boolean =>
    mayGive(members, "own", params);
  assert.ok(may(own, holder("b", 2, DRAINS)));
  assert.ok(!may(own), "a stranger");
  assert.ok(!may(holder("b", 2)), "it does not hold them itself");
  assert.ok(!may(own, holder("b", 0)), "other layers");
  assert.ok(!may(own, holder("b", 2, { manifest: "n" })), "another model");
  assert.ok(!may(own, holder("b", 2, { state: "gone" })), "it has left");
  assert.ok(!may(own, holder("b", 2, { kv: "bf16" })), "other keys");
  const card = "llama.cpp v0.5.0 on Vulkan0 X";
  assert.ok(!may(own, holder("b", 2, { engine: card })), "other bits");
  const self = { ...params, from: stage("own", 2) };
  assert.ok(!mayGive([own], "own", self), "itself");
});

/** A session whose stage b goes to c, with nodes that answer like this. */
function handingOver(
  answer: (name: string, asked: number) => unknown,
  timeoutMs = 60_000,
) {
  const calls: [string, string][] = [];
  let moves: Move[] = [];
  let change = (): void => {};
  let last: unknown;
  const commands = {
    call: async (
      { peerId }: { peerId: string },
      name: string,
      params: unknown,
      _: unknown,
      { signal }: { signal: AbortSignal },
    ) => {
      calls.push([name, peerId]);
      last = params;
      const reply = await answer(name, calls.length);
      signal.throwIfAborted();
      return reply;
    },
  } as unknown as Commands;
  const handOver = new HandOver({
    commands,
    events: new Events(),
    manifest: MANIFEST,
    session: "s",
    moves: () => moves,
    changed: () => new Promise((resolve) => (change = resolve)),
    timeoutMs,
  });
  const drain = (): void => {
    const [, from] = ROUTE;
    moves = [{ index: 1, from: from!, to: stage("c", 2) }];
    change();
  };
  return { handOver, drain, calls, params: () => last };
}

/** What `onToken` throws, once it does. */
async function moved(handOver: HandOver): Promise<ShoalError> {
  for (;;) {
    try {
      handOver.onToken();
    } catch (error) {
      assert.ok(isShoalError(error));
      return error;
    }
    await turn();
  }
}

const GIVES = (name: string, asked: number): unknown =>
  name === "OFFER_SESSION"
    ? { ticket: "t", tokens: 9, bytes: 99 }
    : { done: asked > 3 };

test("it is offered by the one, fetched by the other, asked again until that is done, and only then left", async () => {
  const { handOver, drain, calls, params } = handingOver(GIVES);
  handOver.onToken();
  await turn();
  assert.deepEqual(calls, []);
  drain();
  const error = await moved(handOver);
  assert.equal(error.code, "DRAINING");
  assert.equal(error.details.stage, 1);
  assert.deepEqual(takenBy(error), ["c"]);
  const take = ["TAKE_SESSION", "c"];
  assert.deepEqual(calls, [["OFFER_SESSION", "b"], take, take, take]);
  assert.deepEqual(params(), {
    manifest: MANIFEST,
    from: ROUTE[1],
    ticket: "t",
  });
});

test("where it fails the session stays", async () => {
  for (const failing of ["OFFER_SESSION", "TAKE_SESSION"]) {
    const { handOver, drain, calls } = handingOver((name, asked) => {
      if (name === failing) throw new ShoalError("COMMAND_UNKNOWN", "an older");
      return GIVES(name, asked);
    });
    handOver.onToken();
    drain();
    for (let i = 0; i < 20; i++) {
      await turn();
      handOver.onToken();
    }
    assert.equal(calls.at(-1)?.[0], failing);
  }
});

test("where it is late the session stays, and nobody is asked any more", async () => {
  const never = new Promise(() => {});
  const { handOver, drain, calls } = handingOver(() => never, 1);
  handOver.onToken();
  drain();
  const later = performance.now() + 50;
  while (performance.now() < later) {
    await turn();
    handOver.onToken();
  }
  assert.deepEqual(calls, [["OFFER_SESSION", "b"]]);
});

test("a session that ends first is not handed over", async () => {
  const { handOver, drain, calls } = handingOver(GIVES);
  handOver.onToken();
  handOver[Symbol.dispose]();
  drain();
  for (let i = 0; i < 20; i++) await turn();
  assert.deepEqual(calls, []);
});
