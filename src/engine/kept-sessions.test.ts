/** What is handed over: written while its session goes on, and taken by another stage for one gateway alone. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import { writeRandomModel } from "../../test/support/models.ts";
import { readShard } from "../model/index.ts";
import { factsPath, KeptFacts, KeptFiles, keptPath } from "./kept-files.ts";
import { KeptSessions } from "./kept-sessions.ts";
import { SentRows, SentRowsMemory } from "./sent-rows.ts";
import { Stage } from "./stage.ts";

const RULES = { kv: "f16", anyBits: false, sameRows: true } as const;
const PROMPT = Int32Array.from({ length: 96 }, (_, i) => 259 + (i % 90));
const MOST_BYTES = 1e8;

/** A session in a sequence of a stage with so many, and a stage for it to go to. */
async function scene(t: TestContext, from = 2, sequence = 0, to = 2) {
  const folder = await temporaryFolder(t);
  const model = join(folder, "model.gguf");
  await writeRandomModel(model, {
    layers: 2,
    contextLength: 256,
    vocabSize: 512,
  });
  const shard = await readShard(model);
  const node = (name: string, sessions: number) => {
    const options = { contextLength: 256, sessions, batchTokens: 96 };
    const stage = new Stage(shard, { ...options, threads: 1 });
    t.after(() => stage[Symbol.dispose]());
    const place = join(folder, name);
    const open = () =>
      new KeptSessions(stage, RULES, new KeptFiles(place, MOST_BYTES));
    return { stage, place, open, kept: open() };
  };
  const [giver, taker] = [node("giver", from), node("taker", to)];
  const { stage } = giver;
  stage.decode(sequence, 0, PROMPT, undefined);
  const known = { tokens: PROMPT, promptTokens: PROMPT.length };
  const computed = { known, sent: undefined, owner: undefined };
  const file = giver.kept.writeRunning(sequence, computed);
  assert.ok(file);
  /** Brings it to the taker, as the network does. */
  const hand = (
    owner: string,
    change: Partial<KeptFacts> = {},
    spoil: (state: Buffer) => Buffer = (state) => state,
  ): string => {
    const facts = KeptFacts.parse(
      JSON.parse(readFileSync(factsPath(file.path), "utf8")),
    );
    const path = keptPath(taker.place);
    const state = readFileSync(file.path);
    writeFileSync(path, spoil(state));
    taker.kept.adopt(path, { ...facts, owner, ...change });
    return path;
  };
  const wanted = { tokens: Int32Array.of(...PROMPT, 300), promptTokens: 96 };
  return { giver, taker, known, hand, wanted };
}

for (const [from, sequence, to] of [
  [2, 0, 2],
  [4, 1, 2],
  [1, 0, 4],
  [3, 2, 3],
] as const)
  test(`sequence ${sequence} of ${from} goes on after it was written, and one of ${to} at another stage with the same bits`, async (t) => {
    const { giver, taker, hand, wanted } = await scene(t, from, sequence, to);
    hand("gateway");
    const match = taker.kept.find(wanted, 1, 0, "gateway");
    assert.equal(match?.tokens, PROMPT.length);
    assert.ok(taker.kept.give(match, 1, match.tokens));
    const next = Int32Array.of(300);
    giver.stage.decode(sequence, PROMPT.length, next, undefined);
    taker.stage.decode(1, PROMPT.length, next, undefined);
    assert.deepEqual(taker.stage.logits(), giver.stage.logits());
  });

test("a place that the other stage does not have is refused", async (t) => {
  const { hand } = await scene(t, 4, 3, 2);
  assert.throws(() => hand("gateway"), /no state/);
});

test("what llama.cpp would believe is checked first", async (t) => {
  const { hand, taker, wanted } = await scene(t, 3, 1, 3);
  const word = (at: number, value: number) => (state: Buffer) => {
    state.writeUInt32LE(value, at < 0 ? state.length + at : at);
    return state;
  };
  const refused = (spoil: (state: Buffer) => Buffer): void =>
    assert.throws(() => hand("gateway", {}, spoil), /no state/);
  refused(word(0, 1)); // another kind of file
  // A count where llama.cpp looks for the next one, and behind it what is looked at here.
  const behind = Buffer.alloc(8);
  behind.writeUInt32LE(0xffffffff);
  refused((state) => Buffer.concat([state.subarray(0, -4), behind]));
  refused((state) => state.subarray(0, -4));
  refused((state) => state.subarray(0, 10));
  for (const sequences of [0, 1, 2, 4, 257, 0xffffffff])
    refused(word(8, sequences));
  for (const cells of [0, 1, 95, 97, 0x3fffffff, 0xffffffff]) {
    if (cells !== 0) refused(word(12, cells));
    refused(word(16, cells));
    if (cells !== 0) refused(word(-4, cells));
  }
  assert.equal(taker.kept.find(wanted, 1, 0, "gateway"), undefined);
  hand("gateway", {}, word(4, 0xffffffff)); // its number there means nothing
  assert.ok(taker.kept.find(wanted, 1, 0, "gateway"));
});

test("nobody else's session takes it over, also after a restart, and after a session that went on from it", async (t) => {
  const { taker, hand, wanted, known } = await scene(t);
  hand("gateway");
  const found = (kept: KeptSessions, gateway?: string): number =>
    kept.find(wanted, 1, 0, gateway)?.tokens ?? 0;
  const all = (kept: KeptSessions): number[] =>
    ["gateway", "another", undefined].map((one) => found(kept, one));
  assert.deepEqual(all(taker.kept), [PROMPT.length, 0, 0]);
  assert.deepEqual(all(taker.open()), [PROMPT.length, 0, 0]);
  const { tokens } = known;
  taker.stage.decode(0, 0, tokens, undefined);
  const ended = { known, sent: undefined };
  taker.kept.park(0, { ...ended, owner: "gateway" }, 0);
  assert.deepEqual(all(taker.kept), [PROMPT.length, 0, 0]);
  // What everybody may have takes its place.
  taker.kept.park(1, { ...ended, owner: undefined }, 0);
  const shared = (gateway?: string): number =>
    taker.kept.find(wanted, 1, 0, gateway)?.tokens ?? 0;
  assert.ok(shared("another") > 0);
});

test("what is not as its facts say is refused, and what is no state gives nothing", async (t) => {
  const { taker, hand, wanted } = await scene(t);
  const fewer = Buffer.from(PROMPT.buffer, 0, 4 * 95).toString("base64");
  assert.throws(() => hand("gateway", { tokens: fewer }), /no state/);
  assert.throws(() => hand("gateway", { tokens: "AAAAAAA=" }));
  assert.equal(taker.kept.find(wanted, 1, 0, "gateway"), undefined);
  const path = hand("gateway").slice(0, -".tmp".length);
  const state = readFileSync(path);
  writeFileSync(path, state.fill(0xff));
  const match = taker.kept.find(wanted, 1, 0, "gateway");
  assert.ok(match);
  assert.equal(taker.kept.give(match, 1, match.tokens), false);
  assert.ok(!existsSync(path), "it was not removed");
  assert.equal(taker.kept.find(wanted, 1, 0, "gateway"), undefined);
  taker.stage.decode(1, 0, PROMPT, undefined);
});

test("too little, and what may be kept nowhere, is not written", async (t) => {
  const { giver, known } = await scene(t);
  const few = { tokens: PROMPT.subarray(0, 63), promptTokens: 63 };
  const none = { sent: undefined, owner: undefined };
  assert.equal(giver.kept.writeRunning(0, { known: few, ...none }), undefined);
  const nowhere = new KeptSessions(giver.stage, RULES, undefined);
  assert.equal(nowhere.writeRunning(0, { known, ...none }), undefined);
});

test("what a longer session replaced is not given to one that was opened to go on from it, and its rows are given back once", async (t) => {
  const { giver, known, wanted } = await scene(t, 2, 0, 2);
  const { stage, kept } = giver;
  const memory = new SentRowsMemory(1 << 30);
  const rowBytes = 8_192;
  const rows = (tokens: number): SentRows => {
    const sent = new SentRows(memory, rowBytes);
    sent.add(new Uint8Array(tokens * rowBytes).fill(7));
    return sent;
  };
  const sent = rows(PROMPT.length);
  kept.park(0, { known, sent, owner: undefined }, 0);
  const match = kept.find(wanted, 0, 0);
  assert.equal(match?.kept.sequence, 0);
  const begun = sent.upTo(PROMPT.length);
  const { tokens } = wanted;
  stage.decode(1, 0, PROMPT, undefined);
  stage.decode(1, PROMPT.length, tokens.subarray(PROMPT.length), undefined);
  const longer = { known: wanted, sent: rows(tokens.length), owner: undefined };
  kept.park(1, longer, 0);
  assert.equal(match.kept.sent, undefined);
  assert.equal(kept.give(match, 0, match.tokens), false);
  assert.equal(begun.length, PROMPT.length);
  const first = new Uint8Array(rowBytes);
  begun.read(0, first);
  assert.ok(first.every((byte) => byte === 7));
  begun[Symbol.dispose]();
  kept[Symbol.dispose]();
  assert.equal(memory.bytes, 0);
});
