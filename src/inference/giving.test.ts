/** Who may have a session handed over, and to whom: the rules of both nodes. */
import assert from "node:assert/strict";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { crc32, zstdDecompressSync } from "node:zlib";
import { temporaryFolder } from "../../test/support/folder.ts";
import { until } from "../../test/support/until.ts";
import type { Announcement } from "../cluster/index.ts";
import { factsPath, type KeptFacts } from "../engine/index.ts";
import { type ErrorCode, Events, isShoalError } from "../lib/index.ts";
import type { Attached, CommandHandler, Commands } from "../network/index.ts";
import { Giving } from "./giving.ts";
import { HAND_OVER_DEFAULTS } from "./hand-over-protocol.ts";
import type { Held, StageSession } from "./stage-session.ts";
import { Taking } from "./taking.ts";

const SESSION = "5e".repeat(16);
const TICKET = /^[0-9a-f]{32}$/;
const RANGE = { layerStart: 2, layerEnd: 4 };
const FROM = { peer: "giver", ...RANGE, addresses: [] };
const ENGINE = "llama.cpp v0.5.0 on CPU AVX2";

/** Commands of a node, which a test sends as any peer. */
class Node {
  readonly #handlers = new Map<string, CommandHandler<unknown>>();
  /** How it asks another one. */
  ask: (name: string, params: unknown) => Promise<unknown> = () =>
    Promise.reject(new Error("nobody is there"));

  readonly commands = {
    handle: (name: string, _: unknown, handler: CommandHandler<unknown>) =>
      this.#handlers.set(name, handler),
    callAttached: async (_: unknown, name: string, params: unknown) => {
      const { result, attachment } = (await this.ask(
        name,
        params,
      )) as Attached<object>;
      return { result, attachment };
    },
  } as unknown as Commands;

  async send(from: string, name: string, params: unknown): Promise<unknown> {
    const signal = new AbortController().signal;
    return await this.#handlers.get(name)!(params, {
      address: "",
      peer: from,
      signal,
    });
  }
}

async function refused(
  promise: Promise<unknown>,
  code: ErrorCode,
): Promise<void> {
  await assert.rejects(promise, (error) => isShoalError(error, code));
}

/** A node that drains, with one session of "gateway". */
async function giver(t: TestContext) {
  const folder = await temporaryFolder(t);
  const state = Buffer.alloc(HAND_OVER_DEFAULTS.pieceBytes + 99, 7);
  const facts: KeptFacts = {
    version: 1,
    promptTokens: 2,
    earliest: 0,
    tokens: Buffer.alloc(12).toString("base64"),
    bytes: state.length,
    crc32: crc32(state),
  };
  const path = join(folder, "a.kv");
  let written = 0;
  const held = {
    draining: true,
    engine: {
      writeSession: async () => {
        written++;
        await writeFile(path, state);
        await writeFile(factsPath(path), JSON.stringify(facts));
        return { path, bytes: state.length, tokens: 3 };
      },
    },
  } as unknown as Held;
  const session = {
    held,
    handle: 1,
    gateway: { peer: "gateway" },
    closed: false,
  } as unknown as StageSession;
  const node = new Node();
  const giving = new Giving({
    commands: node.commands,
    events: new Events(),
    sessionOf: (id, stage) =>
      id === SESSION && stage === 1 ? session : undefined,
  });
  t.after(() => giving.ended(session)); // it has files open
  const offer = async (from = "gateway", change = {}): Promise<string> => {
    const asked = { session: SESSION, stage: 1, to: "taker", ...change };
    const told = await node.send(from, "OFFER_SESSION", asked);
    const { ticket, ...rest } = told as { ticket: string };
    assert.match(ticket, TICKET);
    assert.deepEqual(rest, { tokens: 3, bytes: state.length });
    return ticket;
  };
  const get = async (from: string, ticket: string, offset = 0) =>
    (await node.send(from, "GET_KEPT", {
      ticket,
      of: "state",
      offset,
    })) as Attached<{ sizeBytes: number }>;
  const count = (): number => written;
  return { node, giving, session, held, state, facts, offer, get, count };
}

test("a session's own gateway has it handed over by a stage that drains; nobody else, and no other", async (t) => {
  const { held, offer, count } = await giver(t);
  await refused(offer("stranger"), "COMMAND_UNAUTHORIZED");
  await refused(offer("taker"), "COMMAND_UNAUTHORIZED");
  await refused(offer("gateway", { stage: 0 }), "COMMAND_UNAUTHORIZED");
  const another = { session: "00".repeat(16) };
  await refused(offer("gateway", another), "COMMAND_UNAUTHORIZED");
  held.draining = false;
  await refused(offer(), "COMMAND_UNAUTHORIZED");
  assert.equal(count(), 0);
  held.draining = true;
  const both = [offer(), offer()];
  await refused(both[1]!, "BUSY");
  await both[0];
  assert.equal(count(), 1);
});

test("only whom the gateway named gets it, with its ticket, until the session ends", async (t) => {
  const { giving, session, state, offer, get } = await giver(t);
  const ticket = await offer();
  await refused(get("gateway", ticket), "COMMAND_UNAUTHORIZED");
  await refused(get("stranger", ticket), "COMMAND_UNAUTHORIZED");
  await refused(get("taker", "00".repeat(16)), "COMMAND_UNAUTHORIZED");
  const size = state.length;
  await refused(get("taker", ticket, size), "COMMAND_MALFORMED");
  await refused(get("taker", ticket, 2 ** 52), "COMMAND_MALFORMED");
  const { pieceBytes } = HAND_OVER_DEFAULTS;
  const last = await get("taker", ticket, pieceBytes);
  assert.deepEqual(last.result, { sizeBytes: size });
  assert.equal(zstdDecompressSync(last.attachment).length, size - pieceBytes);
  const again = await offer();
  await refused(get("taker", ticket), "COMMAND_UNAUTHORIZED");
  await get("taker", again);
  giving.ended(session);
  await refused(get("taker", again), "COMMAND_UNAUTHORIZED");
});

/** A node that holds the same layers as `giver`, in the eyes of this cluster. */
async function taker(
  t: TestContext,
  members: Partial<Announcement>[] = [{ peer: "giver" }, { peer: "taker" }],
) {
  const from = await giver(t);
  const folder = join(await temporaryFolder(t), "kept");
  await mkdir(folder);
  const adopted: { path: string; facts: KeptFacts }[] = [];
  const held = {
    draining: false,
    engine: {
      info: { contextLength: 64, kept: { folder, bytes: 3e6 } },
      adoptSession: async (path: string, facts: KeptFacts) =>
        void adopted.push({ path, facts }),
    },
  } as unknown as Held;
  const node = new Node();
  node.ask = (name, params) => from.node.send("taker", name, params);
  const taking = new Taking({
    commands: node.commands,
    events: new Events(),
    peer: "taker",
    heldOf: (manifest, range) =>
      manifest === "m" && range.layerStart === 2 ? held : undefined,
    members: () =>
      members.map(
        (one) =>
          ({
            manifest: "m",
            state: "ready",
            engine: ENGINE,
            ...RANGE,
            ...one,
          }) as Announcement,
      ),
  });
  const take = async (ticket: string, gateway = "gateway", change = {}) => {
    const asked = { manifest: "m", from: FROM, ticket, ...change };
    return (await node.send(gateway, "TAKE_SESSION", asked)) as {
      done: boolean;
    };
  };
  const files = (): Promise<string[]> => readdir(folder);
  return { ...from, node, taking, held, adopted, take, files };
}

test("what a gateway told of is fetched, for this gateway", async (t) => {
  const { offer, take, adopted, facts } = await taker(t);
  const told = await take(await offer(), "gateway");
  assert.deepEqual(told, { done: true });
  assert.deepEqual(
    adopted.map((one) => one.facts),
    [{ ...facts, owner: "gateway" }],
  );
});

test("nothing is fetched from a stranger, for other layers, or while it drains itself", async (t) => {
  const alone = await taker(t, [{ peer: "taker" }]);
  await refused(alone.take(await alone.offer()), "COMMAND_UNAUTHORIZED");
  const node = await taker(t);
  const ticket = await node.offer();
  const other = { from: { ...FROM, layerStart: 0 } };
  await refused(node.take(ticket, "gateway", other), "DRAINING");
  const model = { manifest: "n" };
  await refused(node.take(ticket, "gateway", model), "DRAINING");
  node.held.draining = true;
  await refused(node.take(ticket), "DRAINING");
  assert.deepEqual([...alone.adopted, ...node.adopted], []);
});

test("a giver that breaks off, or a ticket that it does not know, leaves nothing", async (t) => {
  const { offer, take, node, files, adopted, giving, session } = await taker(t);
  await refused(take("00".repeat(16)), "COMMAND_UNAUTHORIZED");
  const ticket = await offer();
  const { ask } = node;
  node.ask = async (name, params) => {
    const answer = await ask(name, params);
    giving.ended(session);
    return answer;
  };
  await refused(take(ticket), "COMMAND_UNAUTHORIZED");
  assert.deepEqual(await files(), []);
  assert.deepEqual(adopted, []);
});

test("so many at once, and not more than fits; all end when the node stops", async (t) => {
  const { take, node, taking, files } = await taker(t);
  const { promise: never } = Promise.withResolvers<never>();
  let asked = 0;
  node.ask = () => {
    asked++;
    return never;
  };
  const { atOnce } = HAND_OVER_DEFAULTS;
  const all = Array.from({ length: atOnce }, (_, i) =>
    take(String(i).padStart(32, "0")),
  );
  for (const one of all) one.catch(() => {});
  await until("all to be asked", async () => asked === atOnce, 5);
  await refused(take("ff".repeat(16)), "BUSY");
  taking.stop();
  await Promise.all(all.map((one) => refused(one, "ABORTED")));
  assert.deepEqual(await files(), []);
});

test("states that come at once share the disk", async (t) => {
  const { offer, take, node, state, adopted } = await taker(t);
  const ticket = await offer();
  const { ask } = node;
  const { promise: open, resolve } = Promise.withResolvers<void>();
  let waiting = 0;
  node.ask = async (name, params) => {
    if ((params as { of: string }).of === "state") {
      waiting++;
      await open;
    }
    return await ask(name, params);
  };
  assert.ok(3 * state.length > 3e6 && 2 * state.length < 3e6);
  const tries = ["one", "two", "three"].map((gateway) => take(ticket, gateway));
  const ended = Promise.allSettled(tries);
  await until("two to be under way", async () => waiting >= 4, 5);
  resolve();
  const fates = (await ended).map((one) =>
    one.status === "fulfilled" ? "done" : (one.reason as { code: string }).code,
  );
  assert.deepEqual(fates.toSorted(), ["DISK_FULL", "done", "done"]);
  assert.equal(adopted.length, 2);
});
