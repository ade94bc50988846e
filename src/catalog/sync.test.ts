/** SYNC_TORRENTS between real hosts: at connect and on change, answered, and the answer used. */
import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { startHost, Watched, within } from "../../test/support/network.ts";
import { isShoalError, ShoalError } from "../lib/index.ts";
import { Commands, type Host } from "../network/index.ts";
import type { Listing } from "./catalog.ts";
import { CatalogService } from "./catalog-service.ts";
import { SYNC_TORRENTS } from "./protocol.ts";
import { SYNC_DEFAULTS } from "./sync-link.ts";
import { CatalogSync } from "./sync.ts";

const CLUSTER = "friends";
const rootOf = (n: number): string => n.toString(16).padStart(64, "0");

function listing(n: number, changes: Partial<Listing> = {}): Listing {
  return {
    root: rootOf(n),
    sizeBytes: 100,
    kind: "part",
    name: `layer.${n}`,
    manifest: "m",
    whole: true,
    ...changes,
  };
}

interface Rendezvous {
  host: Host;
  commands: Commands;
  events: Watched;
}

async function rendezvous(t: TestContext): Promise<Rendezvous> {
  const host = await startHost(t);
  const commands = new Commands(host);
  const events = new Watched();
  const service = new CatalogService({ host, commands, events });
  service.start();
  t.after(() => service.stop());
  return { host, commands, events };
}

interface Member {
  host: Host;
  sync: CatalogSync;
  events: Watched;
  listed: Listing[];
  /** Where it says that its transfers are. */
  transfers: string;
}

async function member(t: TestContext, listed: Listing[]): Promise<Member> {
  const host = await startHost(t);
  const events = new Watched();
  const transfers = `transfers of ${host.peerId}`;
  const sync = new CatalogSync({
    commands: new Commands(host),
    events,
    cluster: CLUSTER,
    endpoint: () => ({
      peer: transfers,
      addresses: ["/ip4/192.0.2.1/tcp/7"],
    }),
    listings: () => listed,
  });
  t.after(() => sync.stop());
  return { host, sync, events, listed, transfers };
}

async function meet({ host, sync }: Member, other: Rendezvous): Promise<void> {
  const { peerId } = other.host;
  await host.connect({ peerId, addresses: other.host.addresses() });
  await sync.syncWith(peerId);
}

const holdersOf = async ({ sync }: Member, n: number): Promise<string[]> =>
  (await sync.whoHas({ root: rootOf(n) })).holders.map(({ peer }) => peer);

const isListed =
  (listed: number) =>
  ({ tag, fields }: Watched["seen"][number]): boolean =>
    tag === "TORRENT_SYNC" && fields["listed"] === listed;

describe("the exchange with a rendezvous", { concurrency: 4 }, () => {
  test("at connect: contents are listed there, as its answer says", async (t) => {
    const at = await rendezvous(t);
    const a = await member(t, [listing(1), listing(2)]);
    const b = await member(t, [listing(2, { whole: false })]);
    await meet(a, at);
    await meet(b, at);
    assert.deepEqual(
      [a, b].map(({ events }) =>
        events.seen.map(({ tag, message }) => `[${tag}] ${message}`),
      ),
      [2, 1].map((n) => [
        `[TORRENT_SYNC] ${n} contents listed at the rendezvous, which knows 2`,
      ]),
    );
    assert.deepEqual(await holdersOf(b, 1), [a.transfers]);
    assert.deepEqual(await holdersOf(b, 2), [a.transfers]);
    assert.deepEqual(await holdersOf(a, 2), [b.transfers]);
  });

  test("its answer is used: who has what is known when the rendezvous is gone", async (t) => {
    const at = await rendezvous(t);
    const a = await member(t, [listing(1), listing(2)]);
    const b = await member(t, [listing(2)]);
    const c = await member(t, []);
    await meet(a, at);
    await meet(b, at);
    await meet(c, at);
    await at.host.stop();
    assert.deepEqual(await holdersOf(c, 1), [a.transfers]);
    assert.deepEqual(
      (await holdersOf(c, 2)).toSorted(),
      [a.transfers, b.transfers].toSorted(),
    );
    assert.deepEqual(c.sync.remembered(rootOf(1))?.holders, [
      { peer: a.transfers, addresses: ["/ip4/192.0.2.1/tcp/7"] },
    ]);
    assert.equal(c.sync.remembered(rootOf(3)), undefined);
    // It reports nothing about a member's own contents.
    assert.deepEqual(await holdersOf(b, 2), [a.transfers]);
    assert.deepEqual(await holdersOf(a, 1), []);
  });

  test("on change: added contents are listed, removed ones no longer", async (t) => {
    const at = await rendezvous(t);
    const a = await member(t, [listing(1)]);
    const b = await member(t, []);
    await meet(a, at);
    await meet(b, at);
    a.listed.push(listing(2), listing(3));
    a.sync.changed();
    await a.events.when(isListed(3), "three to be listed");
    assert.deepEqual(await holdersOf(b, 3), [a.transfers]);
    a.listed.splice(0, 2);
    a.sync.changed();
    a.sync.changed();
    await a.events.when(
      (event) => isListed(1)(event) && a.events.seen.indexOf(event) > 0,
      "one to be listed",
    );
    assert.deepEqual(await holdersOf(b, 1), []);
    assert.deepEqual(await holdersOf(b, 3), [a.transfers]);
  });

  test("a change that does not affect the listing is not sent", async (t) => {
    const at = await rendezvous(t);
    const a = await member(t, [listing(1, { whole: false })]);
    await meet(a, at);
    // Such as one more piece of a download, and then its end.
    a.sync.changed();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    assert.equal(a.events.seen.length, 1);
    a.listed.splice(0, 1, listing(1));
    a.sync.changed();
    await a.events.when(
      (event) => isListed(1)(event) && a.events.seen.indexOf(event) === 1,
      "the end to be said",
    );
    // After a reconnect it is sent again, because the rendezvous may have forgotten it.
    await a.sync.syncWith(at.host.peerId);
    assert.equal(a.events.seen.length, 3);
  });

  test("more than fits into one message travels in pages, both ways", async (t) => {
    const at = await rendezvous(t);
    const count = 1_234;
    const a = await member(
      t,
      Array.from({ length: count }, (_, n) => listing(n)),
    );
    const b = await member(t, []);
    await meet(a, at);
    assert.ok(a.events.seen.some(isListed(count)));
    await meet(b, at);
    await at.host.stop();
    for (const n of [0, 500, count - 1])
      assert.deepEqual(
        b.sync.remembered(rootOf(n))?.holders.map(({ peer }) => peer),
        [a.transfers],
        String(n),
      );
  });

  test("a content that others list with another size is not counted as listed, and that is reported", async (t) => {
    const at = await rendezvous(t);
    const a = await member(t, [listing(1)]);
    const b = await member(t, [listing(1, { sizeBytes: 7 }), listing(2)]);
    await meet(a, at);
    await meet(b, at);
    assert.ok(b.events.seen.some(isListed(1)));
    assert.ok(
      b.events.seen.some(
        ({ level, message }) =>
          level === "warn" && message.startsWith("1 contents are not listed"),
      ),
    );
  });

  test("a refused listing is not logged as success, and is repeated until accepted", async (t) => {
    const host = await startHost(t);
    const commands = new Commands(host);
    let refusals = 2;
    let taken: readonly Listing[] = [];
    commands.handle(
      SYNC_TORRENTS.name,
      SYNC_TORRENTS.params,
      ({ contents }) => {
        if (contents.length > 1 && refusals-- > 0)
          throw new ShoalError("BUSY", "not now");
        taken = contents;
        return { listed: contents.length, known: 9, version: 1, told: null };
      },
    );
    const a = await member(t, [listing(1)]);
    await meet(a, { host, commands, events: new Watched() });
    a.listed.push(listing(2));
    a.sync.changed();
    const refused = await a.events.when(
      ({ level }) => level === "warn",
      "the refusal",
    );
    assert.equal(
      refused.message,
      "the rendezvous did not accept the change: not now",
    );
    assert.equal(a.events.seen.some(isListed(2)), false);
    await a.events.when(isListed(2), "the change to be accepted");
    assert.equal(taken.length, 2);
    const warned = a.events.seen.filter(({ level }) => level === "warn");
    assert.equal(warned.length, 1, "told once");
  });

  test("a change while an exchange is under way is in the next one", async (t) => {
    const host = await startHost(t);
    const commands = new Commands(host);
    const began = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const seen: string[][] = [];
    let running = 0;
    commands.handle(
      SYNC_TORRENTS.name,
      SYNC_TORRENTS.params,
      async ({ contents }) => {
        assert.equal(++running, 1, "one after the other");
        seen.push(contents.map(({ name }) => name));
        began.resolve();
        if (seen.length === 1) await goOn.promise;
        running--;
        return { listed: contents.length, known: 9, version: 1, told: null };
      },
    );
    const a = await member(t, [listing(1)]);
    const met = meet(a, { host, commands, events: new Watched() });
    await within(began.promise, "the first exchange");
    a.listed.push(listing(2));
    const again = a.sync.syncWith(host.peerId);
    const third = a.sync.syncWith(host.peerId);
    goOn.resolve();
    await Promise.all([met, again, third]);
    assert.deepEqual(seen, [["layer.1"], ["layer.1", "layer.2"]]);
  });

  test("a member that does not change itself asks for news now and then, and gets nothing if there is none", async (t) => {
    const host = await startHost(t);
    const commands = new Commands(host);
    const asked: unknown[] = [];
    let version = 5;
    commands.handle(
      SYNC_TORRENTS.name,
      SYNC_TORRENTS.params,
      ({ first, contents, tell }) => {
        asked.push({ first, contents: contents.length, tell });
        const told = {
          peers: [{ peer: `of ${version}`, addresses: [] }],
          contents: [
            {
              root: rootOf(1),
              sizeBytes: 1,
              kind: "file",
              name: "f",
              holders: [0],
            },
          ],
          total: 1,
        };
        return {
          listed: 1,
          known: 1,
          version,
          told: tell?.unless === version ? null : told,
        };
      },
    );
    const timers: { ms: number; fn: () => void }[] = [];
    const own = await startHost(t);
    const sync = new CatalogSync({
      commands: new Commands(own),
      events: new Watched(),
      cluster: CLUSTER,
      endpoint: () => ({ peer: "x", addresses: [] }),
      listings: () => [listing(3)],
      clock: {
        now: () => 0,
        after: (ms, fn) => {
          timers.push({ ms, fn });
          return () => {};
        },
      },
    });
    await own.connect({ peerId: host.peerId, addresses: host.addresses() });
    await sync.syncWith(host.peerId);
    const told = (): string | undefined =>
      sync.remembered(rootOf(1))?.holders[0]?.peer;
    assert.equal(told(), "of 5");
    const tick = async (): Promise<void> => {
      const { ms, fn } = timers.shift() ?? assert.fail("no timer");
      assert.equal(ms, SYNC_DEFAULTS.askMs);
      const before = asked.length;
      fn();
      await within(
        (async () => {
          while (asked.length === before)
            await new Promise((resolve) => setTimeout(resolve, 5));
          // The answer is in flight: the answer to a later command arrives after it.
          await sync.syncWith(host.peerId);
        })(),
        "it to ask",
      );
    };
    await tick();
    assert.equal(told(), "of 5");
    version = 6;
    await tick();
    assert.equal(told(), "of 6");
    assert.deepEqual(asked[0], {
      first: true,
      contents: 1,
      tell: { offset: 0 },
    });
    assert.deepEqual(asked[1], {
      first: false,
      contents: 0,
      tell: { offset: 0, unless: 5 },
    });
    await sync.stop();
  });

  test("a member has no catalog and is not asked again", async (t) => {
    const other = await startHost(t);
    const commands = new Commands(other);
    const a = await member(t, [listing(1)]);
    await assert.rejects(
      meet(a, { host: other, commands, events: new Watched() }),
      (error) => isShoalError(error, "COMMAND_UNKNOWN"),
    );
    assert.deepEqual(await a.sync.listFiles(), []);
    assert.deepEqual(a.events.seen, []);
  });
});
