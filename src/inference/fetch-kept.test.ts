import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test, type TestContext } from "node:test";
import { crc32, zstdCompressSync } from "node:zlib";
import { temporaryFolder } from "../../test/support/folder.ts";
import type { KeptFacts } from "../engine/index.ts";
import { isShoalError } from "../lib/index.ts";
import { fetchKept, type KeptSource } from "./fetch-kept.ts";
import { HAND_OVER_DEFAULTS } from "./hand-over-protocol.ts";

const PIECE = HAND_OVER_DEFAULTS.pieceBytes;
const CONTEXT = 64;
/** Three pieces, the last one shorter. */
const STATE = Buffer.from(
  Uint8Array.from({ length: 2 * PIECE + 1_000 }, (_, i) => (i * 31) % 251),
);
const FACTS: KeptFacts = {
  version: 1,
  promptTokens: 4,
  earliest: 0,
  tokens: Buffer.from(Int32Array.of(5, 6, 7, 8, 9).buffer).toString("base64"),
  bytes: STATE.length,
  crc32: crc32(STATE),
};

type Answer = Awaited<ReturnType<KeptSource["piece"]>>;

/** Answers as it should, but for what `change` makes of it. */
function source(
  facts: unknown = FACTS,
  change: (answer: Answer, of: string, offset: number) => Answer = (a) => a,
): KeptSource & { most: number } {
  const parts = { facts: Buffer.from(JSON.stringify(facts)), state: STATE };
  let underWay = 0;
  const made = {
    most: 0,
    piece: async (of: "facts" | "state", offset: number): Promise<Answer> => {
      made.most = Math.max(made.most, ++underWay);
      await Promise.resolve();
      underWay--;
      const piece = parts[of].subarray(offset, offset + PIECE);
      const packed = zstdCompressSync(piece);
      return change({ sizeBytes: parts[of].length, packed }, of, offset);
    },
  };
  return made;
}

async function fetchInto(
  t: TestContext,
  from: KeptSource,
  bytes = 10 * PIECE,
  signal = new AbortController().signal,
): Promise<{ folder: string; got: Awaited<ReturnType<typeof fetchKept>> }> {
  const folder = await temporaryFolder(t);
  const sizes: number[] = [];
  try {
    const got = await fetchKept(from, {
      place: { folder, bytes },
      contextLength: CONTEXT,
      onSize: (size) => sizes.push(size),
      signal,
    });
    assert.deepEqual(sizes, [STATE.length]);
    return { folder, got };
  } catch (error) {
    assert.deepEqual(readdirSync(folder), [], "a file was left");
    throw error;
  }
}

test("what is fetched is what was given, a few pieces at a time", async (t) => {
  const from = source();
  const { got } = await fetchInto(t, from);
  assert.deepEqual(got.facts, FACTS);
  assert.ok(STATE.equals(readFileSync(got.path)));
  assert.ok(from.most > 1 && from.most <= HAND_OVER_DEFAULTS.piecesAtOnce);
});

const HOSTILE: Record<string, KeptSource> = {
  "a byte is another": source(FACTS, (answer, of, offset) =>
    of === "state" && offset > 0
      ? { ...answer, packed: zstdCompressSync(Buffer.alloc(PIECE)) }
      : answer,
  ),
  "a piece unpacks to more than it is": source(FACTS, (answer, of) =>
    of === "state"
      ? { ...answer, packed: zstdCompressSync(Buffer.alloc(4 * PIECE)) }
      : answer,
  ),
  "a piece is shorter": source(FACTS, (answer, of) =>
    of === "state"
      ? { ...answer, packed: zstdCompressSync(Buffer.alloc(10)) }
      : answer,
  ),
  "a piece is empty": source(FACTS, (answer, of) =>
    of === "state" ? { ...answer, packed: new Uint8Array() } : answer,
  ),
  "a piece is not compressed": source(FACTS, (answer, of) =>
    of === "state" ? { ...answer, packed: Buffer.alloc(PIECE, 7) } : answer,
  ),
  "the size changes": source(FACTS, (answer, of, offset) =>
    of === "state" && offset > 0
      ? { ...answer, sizeBytes: STATE.length - 1 }
      : answer,
  ),
  "the state is larger than its facts say": source({
    ...FACTS,
    bytes: STATE.length - 1,
  }),
  "the facts have no end": source(FACTS, (answer, of) =>
    of === "facts" ? { ...answer, sizeBytes: 2 ** 50 } : answer,
  ),
  "the facts have a size of nothing": source(FACTS, (answer, of) =>
    of === "facts" ? { ...answer, sizeBytes: 0 } : answer,
  ),
  "the facts are no JSON": source(FACTS, (answer, of) =>
    of === "facts"
      ? { sizeBytes: 3, packed: zstdCompressSync(Buffer.from("{{{")) }
      : answer,
  ),
  "the facts lack something": source({ version: 1 }),
  "there are no tokens": source({ ...FACTS, tokens: "" }),
  "the tokens are cut": source({ ...FACTS, tokens: "AAAAAAA=" }),
  "there are more tokens than a session has": source({
    ...FACTS,
    tokens: Buffer.alloc(4 * (CONTEXT + 1)).toString("base64"),
  }),
  "the prompt is longer than a session": source({
    ...FACTS,
    promptTokens: CONTEXT + 1,
  }),
  "it can go back to behind its end": source({ ...FACTS, earliest: 6 }),
};

for (const [what, from] of Object.entries(HOSTILE))
  test(`refused, and no file is left: ${what}`, async (t) => {
    await assert.rejects(fetchInto(t, from), (error) =>
      isShoalError(error, "COMMAND_MALFORMED"),
    );
  });

test("more than may be kept is not asked for", async (t) => {
  let asked = 0;
  const from = source(FACTS, (answer, of) => {
    if (of === "state") asked++;
    return answer;
  });
  await assert.rejects(fetchInto(t, from, STATE.length - 1), (error) =>
    isShoalError(error, "DISK_FULL"),
  );
  assert.equal(asked, 0);
});

test("it ends in the middle when it is told to", async (t) => {
  const stop = new AbortController();
  const from = source(FACTS, (answer, of) => {
    if (of === "state") stop.abort(new Error("enough"));
    return answer;
  });
  await assert.rejects(fetchInto(t, from, 10 * PIECE, stop.signal), /enough/);
});
