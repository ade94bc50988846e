/** The two ways to find a content that no rendezvous lists, each alone: the DHT's records, and asking connected peers. */
import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import { writeRandomModel } from "../../test/support/models.ts";
import {
  LOOPBACK,
  startHost,
  Watched,
  within,
} from "../../test/support/network.ts";
import { Commands, type Host } from "../network/index.ts";
import { CatalogService, isWhole } from "../catalog/index.ts";
import {
  type ContentsHost,
  DHT_CONTENTS,
  DhtContents,
} from "./dht-contents.ts";
import { MemberFiles } from "./member-files.ts";

/** The machine may be busy. */
const WAIT_MS = 60_000;

interface Member {
  host: Host;
  torrents: MemberFiles;
  events: Watched;
  folder: string;
}

/** A member that lists nothing at a rendezvous. `ways`: the parts of its host that it searches with. */
async function member(
  t: TestContext,
  ways: (host: Host) => ContentsHost = (host) => host,
): Promise<Member> {
  const folder = await temporaryFolder(t);
  const models = join(folder, "models");
  await mkdir(models);
  const events = new Watched();
  const host = await startHost(t);
  const torrents = new MemberFiles({
    host: ways(host),
    commands: new Commands(host),
    events,
    cluster: "friends",
    listen: LOOPBACK,
    directories: [models],
    stateDir: join(folder, "state"),
  });
  t.after(() => torrents.stop());
  await torrents.start();
  return { host, torrents, events, folder };
}

/** One that has a model. Its root. */
async function withModel({ torrents, folder }: Member): Promise<string> {
  const path = join(folder, "models", "model.gguf");
  await writeRandomModel(path);
  // A file is hashed once it has not changed for a second: the folder is looked at again by itself.
  const whole = within(
    new Promise<string>((resolve) => {
      const look = (): void => {
        const [file] = torrents
          .list()
          .filter((c) => c.name === "model.gguf" && isWhole(c));
        if (file !== undefined) resolve(file.metadata.root);
      };
      torrents.onChange(look);
    }),
    "the model to be hashed",
    WAIT_MS,
  );
  await torrents.index();
  return await whole;
}

/** A DHT that is asked and stores nothing. */
function silent({ dht }: Host): ContentsHost["dht"] {
  return {
    findProviders: (...of) => dht.findProviders(...of),
    unprovide: async () => {},
    provide: async () => ({
      stored: [],
      answers: [],
      complete: true,
      tookMs: 0,
      words: "nobody to store at",
    }),
  };
}

const nobody: Host["dht"]["findProviders"] = async () => ({
  providers: [],
  answers: [],
  complete: true,
  tookMs: 0,
  words: "nobody to ask",
});

async function meet(a: Host, b: Host): Promise<void> {
  await a.connect({ peerId: b.peerId, addresses: b.addresses() });
}

/** It comes to `seeker`, and is what `holder` has. */
async function comes(
  seeker: Member,
  holder: Member,
  root: string,
): Promise<void> {
  const path = await seeker.torrents.fetch({
    root,
    path: join(seeker.folder, "copy.gguf"),
    name: "copy.gguf",
    kind: "file",
    unavailableMs: WAIT_MS,
    signal: AbortSignal.timeout(2 * WAIT_MS),
  });
  const original = join(holder.folder, "models", "model.gguf");
  assert.ok((await readFile(path)).equals(await readFile(original)));
}

const isRecords = ({ message }: { message: string }): boolean =>
  message.startsWith("providers of ");
const isAsking = ({ message }: { message: string }): boolean =>
  message.startsWith("WHO_HAS ");

describe("a content that no rendezvous lists", { concurrency: 2 }, () => {
  test("is found through the DHT's records alone: no connected peer is asked", async (t) => {
    const keeper = await startHost(t);
    const holder = await member(t);
    const seeker = await member(t, ({ dht }) => ({
      dht,
      connections: () => [],
    }));
    await meet(holder.host, keeper);
    await meet(seeker.host, keeper);
    const root = await withModel(holder);
    await holder.events.when(
      ({ message }) =>
        message.startsWith("model.gguf announced in the DHT, confirmed by "),
      "the model to be announced",
    );
    await comes(seeker, holder, root);
    const told = seeker.events.seen.findLast(isRecords);
    assert.equal(told?.fields["holders"], 1);
    assert.equal(seeker.events.seen.some(isAsking), false);
  });

  test("is found by asking connected peers: the DHT has no record of it", async (t) => {
    const holder = await member(t, (host) => ({
      connections: () => host.connections(),
      dht: silent(host),
    }));
    const seeker = await member(t);
    await meet(seeker.host, holder.host);
    const root = await withModel(holder);
    await comes(seeker, holder, root);
    const asked = await seeker.events.when(
      (event) => isAsking(event) && event.fields["holders"] === 1,
      "the holder to be asked",
    );
    assert.equal(asked.fields["asked"], 1);
    // Nobody confirmed a record, so the log reports no success.
    assert.equal(
      holder.events.seen.some(({ message }) => message.includes("announced")),
      false,
    );
    const { providers } = await seeker.host.dht.findProviders(
      Buffer.from(root, "hex"),
    );
    assert.deepEqual(providers, []);
  });

  test("is found by asking a member without it, which a lost rendezvous had told who has it", async (t) => {
    const rendezvous = await startHost(t);
    const events = new Watched();
    const commands = new Commands(rendezvous);
    const service = new CatalogService({ host: rendezvous, commands, events });
    service.start();
    t.after(() => service.stop());
    const holder = await member(t);
    const between = await member(t);
    const seeker = await member(t, (host) => ({
      connections: () =>
        host.connections().filter(({ peer }) => peer === between.host.peerId),
      dht: { ...silent(host), findProviders: nobody },
    }));
    const root = await withModel(holder);
    for (const each of [holder, between]) {
      await meet(each.host, rendezvous);
      await each.torrents.syncWith(rendezvous.peerId);
    }
    await rendezvous.stop();
    await meet(seeker.host, between.host);
    await comes(seeker, holder, root);
    const asked = seeker.events.seen.findLast(isAsking);
    assert.deepEqual(
      [asked?.fields["asked"], asked?.fields["holders"]],
      [1, 1],
    );
  });

  test("is found by asking even while the DHT does not answer at all", async (t) => {
    const holder = await member(t);
    const dead: Host["dht"]["findProviders"] = (_, { signal } = {}) =>
      new Promise((_, reject) => {
        signal?.addEventListener("abort", () => reject(signal.reason as Error));
      });
    const seeker = await member(t, (host) => ({
      connections: () => host.connections(),
      dht: { ...silent(host), findProviders: dead },
    }));
    await meet(seeker.host, holder.host);
    const root = await withModel(holder);
    await comes(seeker, holder, root);
  });
});

test("of many connected peers different ones are asked each time, and each once", async () => {
  const peers = Array.from({ length: 40 }, (_, i) => `peer ${i}`);
  const holder = { peer: "transfers of peer 39", addresses: [] };
  const asked: string[] = [];
  const contents = new DhtContents({
    host: {
      // Two connections to one peer are one peer.
      connections: () => [...peers, ...peers].map((peer) => ({ peer })),
      dht: { findProviders: async () => ({ providers: [], words: "" }) },
    } as unknown as ContentsHost,
    commands: {
      call: async ({ peerId }: { peerId: string }) => {
        asked.push(peerId);
        return { holders: peerId === "peer 39" ? [holder] : [] };
      },
    } as unknown as Commands,
    events: new Watched(),
    cluster: "friends",
    list: () => [],
    endpoint: () => holder,
  });
  const found: unknown[] = [];
  for (let i = 0; i < 200 && found.length === 0; i++) {
    const before = asked.length;
    await contents.find("ab".repeat(32), AbortSignal.timeout(WAIT_MS), (some) =>
      found.push(...some),
    );
    const now = asked.slice(before);
    assert.equal(now.length, DHT_CONTENTS.asked);
    assert.equal(new Set(now).size, now.length);
  }
  assert.deepEqual(found, [holder]);
});
