/** The tests' slow links: packets between two network namespaces take their time to the millisecond, some are lost, and weights still pass fast. */
import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { EchoRequest } from "../support/echo.ts";
import {
  type Place,
  slowLinksMissing,
  TestNetwork,
} from "../support/namespaces.ts";

const ECHO = join(import.meta.dirname, "../support/echo.ts");
const ROUND_TRIPS = 41;

describe("slow links:", { skip: slowLinksMissing }, () => {
  let network: TestNetwork;
  let places: [Place, Place, Place];
  const ends = new Map<Place, ChildProcess>();

  before(async () => {
    network = await TestNetwork.create();
    places = [
      await network.place(),
      await network.place(),
      await network.place(),
    ];
    for (const place of places) {
      ends.set(place, fork(ECHO, [], place.within));
      await ask(place, { do: "serve" });
    }
  });

  after(async () => {
    for (const end of ends.values()) end.kill("SIGKILL");
    await network[Symbol.asyncDispose]();
  });

  test("a round trip takes twice the delay, over UDP and TCP, and nothing once it is undone", async (t) => {
    const [a, b] = places;
    const undo = await network.slow([a], [b], { oneWayMs: 20 });
    for (const how of ["roundTrips", "tcpRoundTrips"] as const) {
      const there = await measured(t, how, a, b);
      near(there, 40);
      near(await measured(t, how, b, a), 40);
    }
    await undo();
    await undo();
    assert.ok((await measured(t, "roundTrips", a, b)).quarter < 2);
  });

  test("pairs have delays of their own at the same time", async (t) => {
    const [a, b, c] = places;
    const undo = [
      await network.slow([a], [b], { oneWayMs: 5 }),
      await network.slow([a], [c], { oneWayMs: 12.5 }),
    ];
    near(await measured(t, "roundTrips", a, b), 10);
    near(await measured(t, "roundTrips", c, a), 25);
    assert.ok((await measured(t, "roundTrips", b, c)).quarter < 2);
    for (const each of undo) await each();
  });

  test("of three places each pair is slow; the newest of two delays counts", async (t) => {
    const [a, b] = places;
    const all = await network.slow(places, places, { oneWayMs: 5 });
    for (const from of places)
      for (const to of places)
        if (from !== to) near(await measured(t, "roundTrips", from, to), 10);
    const one = await network.slow([a], [b], { oneWayMs: 10 });
    near(await measured(t, "roundTrips", a, b), 20);
    await one();
    near(await measured(t, "roundTrips", a, b), 10);
    await all();
  });

  test("packets are lost as often as said, and the seed says which", async () => {
    const [a, b] = places;
    const lost = async (seed: number): Promise<string> => {
      const link = { oneWayMs: 1, loss: 0.1, seed };
      const undo = await network.slow([a], [b], link);
      const volley = { do: "volley", host: b.address, count: 2_000 } as const;
      const back = new Set(await ask(a, volley));
      await undo();
      // A tenth each way: 380 of 2,000 in the middle, 18 the standard deviation.
      const missing = 2_000 - back.size;
      assert.ok(missing > 300 && missing < 460, `${missing} lost`);
      return [...back].slice(0, 20).join();
    };
    const first = await lost(7);
    assert.equal(await lost(7), first);
    assert.notEqual(await lost(8), first);
  });

  test("30 MB a second pass", async (t) => {
    const [a, b] = places;
    const undo = await network.slow([a], [b], { oneWayMs: 20 });
    const rates: number[] = [];
    for (let i = 0; i < 3; i++)
      rates.push(
        ...(await ask(a, { do: "pour", host: b.address, megabytes: 60 })),
      );
    await undo();
    t.diagnostic(`MB/s: ${rates.map((rate) => rate.toFixed(0)).join(", ")}`);
    assert.ok(Math.max(...rates) > 30);
  });

  async function measured(
    t: { diagnostic(words: string): void },
    how: "roundTrips" | "tcpRoundTrips",
    from: Place,
    to: Place,
  ): Promise<{ least: number; quarter: number }> {
    const request = { do: how, host: to.address, count: ROUND_TRIPS };
    const taken = (await ask(from, request)).toSorted((a, b) => a - b);
    const [least = 0, quarter = 0] = [taken[0], taken[ROUND_TRIPS >> 2]];
    t.diagnostic(`${how}: ${least.toFixed(2)} / ${quarter.toFixed(2)} ms`);
    return { least, quarter };
  }

  async function ask(place: Place, request: EchoRequest): Promise<number[]> {
    const end = ends.get(place)!;
    const signal = AbortSignal.timeout(60_000);
    end.send(request);
    const [reply] = (await once(end, "message", { signal })) as [number[]];
    return reply;
  }
});

/** Each way within a millisecond. On a busy machine most round trips wait for a processor at their ends, so the faster ones count. */
function near(
  { least, quarter }: { least: number; quarter: number },
  wantedMs: number,
): void {
  assert.ok(least >= wantedMs, `${least} ms`);
  assert.ok(quarter < wantedMs + 2, `${quarter} ms`);
}
