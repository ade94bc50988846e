/** Which of a peer's addresses and the other ways to it connects first. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Connection } from "@libp2p/interface";
import { OtherWays } from "./other-ways.ts";

const PEER = "somebody";
const DIALLED = { id: "dialled" } as Connection;
const OPENED = { id: "opened" } as Connection;
const { signal: never } = new AbortController();

/** Silent until it is told to stop, as a router that drops. */
function silent(signal: AbortSignal): Promise<Connection> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(new Error("stopped")));
  });
}
const refused = (): Promise<Connection> =>
  Promise.reject(new Error("connection refused"));

test("an address that answers is enough: no other way is asked", async () => {
  const ways = new OtherWays();
  ways.add(() => assert.fail("asked"));
  const dial = async (): Promise<Connection> => DIALLED;
  assert.equal(await ways.race(PEER, never, dial, () => OPENED), DIALLED);
});

test("once all addresses have failed, or a moment later, another way is asked; then the addresses' dial ends", async () => {
  for (const dial of [refused, silent]) {
    const ways = new OtherWays();
    const asked: string[] = [];
    ways.add(async (peer) => void asked.push(peer));
    ways.add(() => Promise.reject(new Error("this one does not")));
    assert.equal(await ways.race(PEER, never, dial, () => OPENED), OPENED);
    assert.deepEqual(asked, [PEER]);
  }
});

test("if nothing connects, the addresses' error is told", async () => {
  const ways = new OtherWays();
  ways.add(() => Promise.reject(new Error("no hole")));
  for (const open of [() => undefined, () => OPENED])
    await assert.rejects(ways.race(PEER, never, refused, open), {
      message: "connection refused",
    });
});

test("a peer without an id, or a host without other ways, has only its addresses", async () => {
  const ways = new OtherWays();
  const remove = ways.add(() => assert.fail("asked"));
  const told = { message: "connection refused" };
  await assert.rejects(
    ways.race(undefined, never, refused, () => OPENED),
    told,
  );
  remove();
  await assert.rejects(
    ways.race(PEER, never, refused, () => OPENED),
    told,
  );
});

test("who gives up ends both", async () => {
  const ways = new OtherWays();
  const { signal: limit, abort } = ((c) => ({
    signal: c.signal,
    abort: () => c.abort(new Error("no time")),
  }))(new AbortController());
  ways.add((_, signal) => {
    abort();
    return silent(signal).then(() => {});
  });
  await assert.rejects(
    ways.race(PEER, limit, silent, () => OPENED),
    {
      message: "stopped",
    },
  );
});
