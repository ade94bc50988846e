/** The DHT between real hosts: records and providers are stored, found, mended, kept over a restart, and silent peers cost no more than a deadline. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { Lateness } from "../../../test/support/lateness.ts";
import { isShoalError, ShoalError, sleep } from "../../lib/index.ts";
import {
  makeHost,
  spawnPeer,
  startHost,
  Watched,
  within,
} from "../../../test/support/network.ts";
import type { Host, HostOptions } from "../host.ts";
import type { RecordKind } from "./records.ts";
import { selfTestDht } from "./self-test.ts";

/** "<number> <text>" under /note/<anything>. */
const NOTE: RecordKind = {
  prefix: "note",
  maxBytes: 64,
  lifetimeMs: 3_600_000,
  async validate(_key, value) {
    await Promise.resolve();
    if (!/^\d+ /.test(Buffer.from(value).toString()))
      throw new ShoalError("DHT_RECORD_INVALID", "no number");
  },
  seq: (value) => Number.parseInt(Buffer.from(value).toString(), 10),
};

const note = (text: string): Uint8Array => Buffer.from(text);
const textOf = (value: Uint8Array | undefined): string | undefined =>
  value && Buffer.from(value).toString();

async function member(
  t: Pick<TestContext, "after">,
  options: HostOptions = {},
): Promise<Host> {
  return await startHost(t, { recordKinds: [NOTE], ...options });
}

async function join2(host: Host, other: Host): Promise<void> {
  await host.connect({ peerId: other.peerId, addresses: other.addresses() });
}

/** Waits until `holds`, checking every 50 ms, for changes without an event. */
async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
): Promise<void> {
  const look = async (): Promise<void> => {
    while (!(await holds())) await sleep(50);
  };
  await within(look(), what, 60_000);
}

async function folder(t: Pick<TestContext, "after">): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "shoal-dht-"));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

describe("the DHT", { concurrency: 4 }, () => {
  test("alone, nothing fails: there is nobody to store at and nobody to ask", async (t) => {
    const a = await member(t);
    const put = await a.dht.put("/note/x", note("1 alone"));
    assert.deepEqual(
      [put.stored, put.answers, put.complete, put.words],
      [[], [], true, "nobody to store at"],
    );
    const got = await a.dht.get("/note/x");
    assert.deepEqual([textOf(got.value), got.from], ["1 alone", []]);
    assert.equal(got.words, "nobody to ask");
    const provided = await a.dht.provide("a file");
    assert.deepEqual([provided.stored, provided.answers], [[], []]);
    const found = await a.dht.findProviders("a file");
    assert.deepEqual([found.providers, found.words], [[], "nobody to ask"]);
    assert.deepEqual(
      a.dht.status().lookups.map(({ what }) => what),
      [
        "put /note/x",
        "get /note/x",
        "provide a file",
        "find providers of a file",
      ],
    );
  });

  test("a rendezvous alone stores, and the next node finds what a node that left had put", async (t) => {
    const rendezvous = await member(t);
    const first = await member(t);
    await join2(first, rendezvous);
    const put = await first.dht.put("/note/x", note("1 hello"));
    assert.deepEqual(
      [put.stored, put.words],
      [[rendezvous.peerId], "1 peer asked: 1 stored it"],
    );
    const root = new Uint8Array(32).fill(7);
    const provided = await first.dht.provide(root);
    assert.deepEqual(provided.stored, [rendezvous.peerId]);
    const address = first.addresses()[0] ?? "";
    await first.stop();
    assert.equal(rendezvous.dht.status().records, 1);

    const next = await member(t);
    await join2(next, rendezvous);
    const got = await next.dht.get("/note/x");
    assert.deepEqual(
      [textOf(got.value), got.from],
      ["1 hello", [rendezvous.peerId]],
    );
    const { providers } = await next.dht.findProviders(root);
    assert.deepEqual(
      providers.map(({ peer }) => peer),
      [first.peerId],
    );
    assert.ok(
      providers[0]?.addresses.includes(address.replace(/\/p2p\/.*/, "")),
    );
    const nothing = await next.dht.get("/note/unknown");
    assert.deepEqual([nothing.value, nothing.from], [undefined, []]);
    assert.ok(nothing.answers.some(({ said }) => said === "nothing"));
  });

  test("without the rendezvous members find each other, as does a new node that knows one of them", async (t) => {
    const rendezvous = await member(t);
    const [a, b, c] = [await member(t), await member(t), await member(t)];
    for (const host of [a, b, c]) await join2(host, rendezvous);
    for (const host of [a, b, c])
      await until("all to know all", () => host.dhtPeers() >= 3);
    await a.dht.put("/note/of-a", note("3 here is a"));
    await a.dht.provide("part 7");
    await rendezvous.stop();

    const atC = await c.dht.get("/note/of-a");
    assert.equal(textOf(atC.value), "3 here is a");
    assert.ok(atC.from.length > 0);
    assert.ok(!atC.from.includes(rendezvous.peerId));

    const d = await member(t);
    await join2(d, b);
    assert.equal(textOf((await d.dht.get("/note/of-a")).value), "3 here is a");
    const { providers } = await d.dht.findProviders("part 7");
    assert.deepEqual(
      providers.map(({ peer }) => peer),
      [a.peerId],
    );
    await until("the new node to know the others", () => d.dhtPeers() >= 3);
    const { stored } = await d.dht.put("/note/of-d", note("1 here is d"));
    for (const host of [a, b, c]) assert.ok(stored.includes(host.peerId));
  });

  test("identity and records survive a restart", async (t) => {
    const home = await folder(t);
    const options = {
      keyPath: join(home, "node.key"),
      datastorePath: join(home, "datastore"),
    };
    const before = await member(t, options);
    const other = await member(t);
    await join2(other, before);
    assert.deepEqual((await other.dht.put("/note/x", note("5 kept"))).stored, [
      before.peerId,
    ]);
    assert.deepEqual((await other.dht.provide("y")).stored, [before.peerId]);
    await before.dht.provide("of the earlier life");
    await before.stop();
    await other.stop();

    const after = await member(t, options);
    assert.equal(after.peerId, before.peerId);
    assert.equal(after.dht.status().records, 1);
    const asker = await member(t);
    await join2(asker, after);
    const got = await asker.dht.get("/note/x");
    assert.deepEqual(
      [textOf(got.value), got.from.includes(after.peerId)],
      ["5 kept", true],
    );
    const { providers } = await asker.dht.findProviders("y");
    assert.deepEqual(
      providers.map(({ peer }) => peer),
      [other.peerId],
    );
    // It must announce its own contents again, because it may not have them any more.
    const gone = await asker.dht.findProviders("of the earlier life");
    assert.deepEqual(gone.providers, []);
    // A new record must still exceed the number it had kept.
    await assert.rejects(after.dht.put("/note/x", note("4 older")), (error) =>
      isShoalError(error, "DHT_RECORD_REFUSED"),
    );
  });

  test("a record that nobody could store reaches peers that come later", async (t) => {
    const early = await member(t);
    await early.dht.put("/note/x", note("1 early"));
    await early.dht.provide("z");
    const late = await member(t);
    await join2(late, early);
    await until(
      "the record at the late one",
      () => late.dht.status().records === 1,
    );
    await until(
      "the provider at the late one",
      async () => (await late.dht.findProviders("z")).providers.length === 1,
    );
    assert.equal(early.dht.status().provided, 1);
    await early.dht.unprovide("z");
    assert.equal(early.dht.status().provided, 0);
  });

  test("an invalid record is refused before any peer is asked", async (t) => {
    const a = await member(t);
    const cases: [string, string, string][] = [
      ["/what/x", "1 unknown kind", "unknown-kind"],
      ["note", "1 no prefix", "unknown-kind"],
      ["/pk/x", "1 libp2p's own kind", "unknown-kind"],
      ["/note/x", `1 ${"x".repeat(64)}`, "oversized"],
      ["/note/x", "no number", "invalid"],
    ];
    for (const [key, value, reason] of cases)
      await assert.rejects(a.dht.put(key, note(value)), (error) => {
        assert.ok(isShoalError(error, "DHT_RECORD_INVALID"), String(error));
        assert.equal(error.details.reason, reason);
        return true;
      });
    await a.dht.put("/note/x", note("2 new"));
    for (const older of ["1 old", "2 same number"])
      await assert.rejects(a.dht.put("/note/x", note(older)), (error) =>
        isShoalError(error, "DHT_RECORD_REFUSED"),
      );
    await a.dht.put("/note/x", note("2 new"));
    assert.equal(a.dht.status().lookups.length, 2);
  });

  test("an older copy elsewhere is outvoted and repaired", async (t) => {
    const [a, b, c] = [await member(t), await member(t), await member(t)];
    await join2(b, a);
    await b.dht.put("/note/x", note("1 old"));
    await b.stop();
    await c.dht.put("/note/x", note("2 new"));
    c.dht.forget("/note/x");
    const d = await member(t);
    await join2(d, a);
    await join2(d, c);
    await until("both in the table", () => d.dhtPeers() === 2);
    const got = await d.dht.get("/note/x");
    assert.deepEqual([textOf(got.value), got.from], ["2 new", [c.peerId]]);
    await until("the old copy to be replaced", async () =>
      (await d.dht.get("/note/x")).from.includes(a.peerId),
    );
  });

  test("a silent peer is named, and costs no more than the deadline", async (t) => {
    const silent = await spawnPeer(t);
    const [a, good] = [await member(t), await member(t)];
    await join2(a, good);
    await a.connect({
      peerId: silent.peerId,
      addresses: silent.addresses().filter((x) => x.includes("/tcp/")),
    });
    await until("both in the table", () => a.dhtPeers() === 2);
    silent.process.kill("SIGSTOP");
    using lateness = new Lateness();
    const startedMs = performance.now();
    const put = await a.dht.put("/note/x", note("1 x"), { timeoutMs: 4_000 });
    assert.ok(performance.now() - startedMs - lateness.ms < 8_000);
    assert.deepEqual(put.stored, [good.peerId]);
    const said = new Map(put.answers.map((x) => [x.peer, x.said]));
    assert.equal(said.get(silent.peerId), "timed-out");
    assert.match(
      put.words,
      /^2 peers asked: 1 stored it, 1 did not answer in time/,
    );
    const got = await a.dht.get("/note/x", { timeoutMs: 500 });
    assert.equal(got.complete, false);
    assert.equal(textOf(got.value), "1 x");
    const stop = AbortSignal.abort(new ShoalError("ABORTED", "enough"));
    await assert.rejects(a.dht.get("/note/x", { signal: stop }), (error) =>
      isShoalError(error, "ABORTED"),
    );
  });

  test("a peer that is gone is unreachable; one without a DHT refuses", async (t) => {
    const [a, good, gone] = [await member(t), await member(t), await member(t)];
    await join2(a, good);
    await join2(a, gone);
    await until("both in the table", () => a.dhtPeers() === 2);
    await gone.stop();
    const put = await a.dht.put("/note/x", note("1 x"), { timeoutMs: 20_000 });
    const said = new Map(put.answers.map((x) => [x.peer, x.said]));
    assert.deepEqual(
      [said.get(good.peerId), said.get(gone.peerId)],
      ["stored", "unreachable"],
    );
    const client = await member(t, { dhtClient: true });
    await join2(a, client);
    const probe = await a.dht.probe(client.peerId);
    assert.deepEqual(
      [probe.passed, probe.put, probe.get, probe.find],
      [false, "refused", "refused", "refused"],
    );
  });
});

describe("the DHT's self-test", () => {
  test("passes at a host that stores, and leaves nobody in its routing table", async (t) => {
    const events = new Watched();
    const host = await member(t);
    assert.equal(host.dht.status().selfTest, null);
    await selfTestDht({ host, events });
    assert.deepEqual(
      events.seen.map(({ level, tag, message }) => [level, tag, message]),
      [
        [
          "info",
          "DHT",
          "stores and answers: put stored, get found, provide stored, find found",
        ],
      ],
    );
    assert.equal(host.dht.status().selfTest, "passed");
    assert.equal(host.dhtPeers(), 0);
  });

  const broken: [string, HostOptions, RegExp][] = [
    ["serves no DHT", { dhtClient: true }, /put refused, get refused/],
    [
      "has no room",
      { dhtLimits: { recordBytes: 0, providerRecords: 0 } },
      /put refused, get nothing, provide refused, find refused/,
    ],
    ["listens nowhere", { listen: [] }, /listens on no address/],
  ];
  for (const [what, options, message] of broken)
    test(`fails at a host that ${what}, loudly`, async (t) => {
      const events = new Watched();
      const host = await makeHost(t, options);
      await host.start();
      await selfTestDht({ host, events });
      const [event] = events.seen;
      assert.deepEqual(
        [event?.level, event?.tag, event?.fields.code],
        ["error", "DHT", "DHT_SELF_TEST_FAILED"],
      );
      assert.match(event?.message ?? "", message);
      assert.equal(host.dht.status().selfTest, "failed");
    });
});
