/**
 * Prompts of every length get llama.cpp's own bits: the logits after a prompt and after three more tokens are those of llama.cpp alone, with
 * its default parameters and as many threads, through 1, 2 and 3 stages. With keys and values of bf16 and q8_0, no bit depends on the chunks, on
 * each stage's threads, or on other sessions in the same decode.
 *
 * With f16 keys every length is compared for each type of weights through 2 stages, and with bf16 keys for Q8_0. Other numbers of stages,
 * chunks of another size and other keys get lengths of each class that kernels know; several threads get few, since they spin on a busy machine.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { chunksOf } from "../../src/engine/chunks.ts";
import type { KvType } from "../../src/engine/kv.ts";
import { temporaryFolder } from "../support/folder.ts";
import { Llama } from "../support/llama.ts";
import {
  type RandomModelOptions,
  writeRandomModel,
} from "../support/models.ts";
import { StageChain } from "../support/stage-chain.ts";

const CONTEXT = 1024;
/** Wide enough for the kernels of real models: blocks of 256 weights, heads of 64. */
const MODEL = {
  layers: 3,
  embeddingLength: 256,
  feedForward: 256,
  heads: 4,
  kvHeads: 2,
  vocabSize: 320,
  contextLength: CONTEXT,
} satisfies RandomModelOptions;
const WEIGHTS = ["Q8_0", "Q4_K", "F16"] as const;
/** Tokens after the prompt, one by one. */
const FOLLOWING = 3;
const BATCH = 192;

/** llama.cpp's default `n_ubatch`: a chunk ends at each of its multiples. */
const GRAPH = 512;

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

const EVERY_LENGTH = [...range(1, 200), ...range(500, 530), ...range(700, 720)];

/** Each remainder by 4, what lies around 64, 128, 192, 512 and 576, and some between. */
const EACH_CLASS = [
  [1, 2, 3, 4, 5, 31, 50, 62, 63, 64, 65, 66, 67, 97, 110],
  [126, 127, 128, 129, 130, 131, 150, 171, 190, 191, 192, 193, 194, 200],
  [510, 511, 512, 513, 514, 515, 516, 530, 550, 574, 575, 576, 577, 578, 579],
  [601, 638, 702, 703, 704, 705, 706, 712, 720],
].flat();

/** Kernels of other keys know a lone row and several, and in which cells they are. */
const FEWER = [1, 2, 3, 5, 33, 64, 65, 101, 150, 193, 200, 512, 513, 577, 712];

/** Few rows, tiled attention, and a lone row in the prompt; tokens after 254 pass the border of 512 cells, where a lone row's attention is split. */
const FOR_THREADS = [30, 254, 513];

/** Of 4 sessions beside each other. */
const BESIDE = [150, 37, 254, 513];

const tokens = (from: number, count: number, session = 0): Int32Array =>
  Int32Array.from(
    { length: count },
    (_, i) => ((from + i + 1) * 7919 + session * 104_729) % MODEL.vocabSize,
  );

/** llama.cpp's logits by length of the prompt, (1 + FOLLOWING, n_vocab), computed when they are first asked for. */
class Reference {
  #llama: Llama;
  #known = new Map<number, readonly Float32Array[]>();

  constructor(
    t: TestContext,
    path: string,
    { threads = 1, kv = "f16" }: { threads?: number; kv?: KvType } = {},
  ) {
    this.#llama = new Llama(path, CONTEXT, { threads, kv });
    t.after(() => this.#llama[Symbol.dispose]());
  }

  of(length: number): readonly Float32Array[] {
    const rows = this.#known.get(length) ?? this.compute(length);
    this.#known.set(length, rows);
    return rows;
  }

  compute(length: number, session = 0): Float32Array[] {
    return this.#llama.logitsOf(
      tokens(0, length, session),
      tokens(length, FOLLOWING, session),
    );
  }
}

async function modelOf(
  t: TestContext,
  type: (typeof WEIGHTS)[number],
): Promise<string> {
  const path = join(await temporaryFolder(t), "model.gguf");
  await writeRandomModel(path, { ...MODEL, type });
  return path;
}

function load(
  t: TestContext,
  path: string,
  threads: readonly number[],
  kv: KvType = "f16",
): Promise<StageChain> {
  const sessions = 1;
  const options = { contextLength: CONTEXT, batchTokens: BATCH, sessions, kv };
  return StageChain.load(t, path, threads, options);
}

/** Which rows differ, as "150 + 2": after a prompt of 150 and 2 more tokens. */
function differences(
  length: number,
  actual: readonly Float32Array[],
  expected: readonly Float32Array[],
): string[] {
  return expected.flatMap((row, step) => {
    const other = actual[step]!;
    const isSame = Buffer.from(row.buffer).equals(Buffer.from(other.buffer));
    return isSame ? [] : [`${length} + ${step}`];
  });
}

/**
 * Decodes prompts of increasing length, and gives what differs from the reference. The chunks that two prompts have in common, up to a
 * multiple of 512, are decoded once.
 */
function differencesOf(
  chain: StageChain,
  reference: Reference,
  lengths: readonly number[],
  cut: (length: number) => readonly number[],
): string[] {
  chain.keep(0, 0);
  let kept = 0;
  return lengths.flatMap((length) => {
    chain.keep(0, kept);
    let position = 0;
    for (const count of cut(length)) {
      const isKept = position < kept;
      if (!isKept) chain.decode(0, position, tokens(position, count));
      position += count;
      if (!isKept && position % GRAPH === 0) kept = position;
    }
    const rows = [chain.logits()];
    for (; position < length + FOLLOWING; position++) {
      chain.decode(0, position, tokens(position, 1));
      rows.push(chain.logits());
    }
    return differences(length, rows, reference.of(length));
  });
}

for (const type of WEIGHTS)
  test(`${type}: prompts of every length get llama.cpp's bits through 1, 2 and 3 stages`, async (t) => {
    const path = await modelOf(t, type);
    const reference = new Reference(t, path);
    for (const stages of [2, 1, 3]) {
      const chain = await load(t, path, Array<number>(stages).fill(1));
      for (const by of [128, 192]) {
        const isWhole = stages === 2 && by === 128;
        const lengths = isWhole ? EVERY_LENGTH : EACH_CLASS;
        const cut = (length: number) => chunksOf(length, by, "f16");
        const differ = differencesOf(chain, reference, lengths, cut);
        assert.deepEqual(differ, [], `${stages} stages, by ${by}`);
      }
    }
  });

test("prompts that are cut elsewhere get other bits, and the comparison notices it", async (t) => {
  for (const [type, length, chunks] of [
    ["Q8_0", 150, [128, 22]],
    ["Q4_K", 150, [74, 76]],
    ["F16", 65, [64, 1]],
  ] as const) {
    const path = await modelOf(t, type);
    const chain = await load(t, path, [1]);
    const reference = new Reference(t, path);
    const differ = differencesOf(chain, reference, [length], () => chunks);
    assert.ok(differ.length > 0, `${type}: ${chunks.join(" and ")}`);
  }
});

for (const [i, type] of WEIGHTS.entries())
  test(`${type}: 2 threads get the bits of llama.cpp with 2, through ${i + 1} stages`, async (t) => {
    const path = await modelOf(t, type);
    const chain = await load(t, path, Array<number>(i + 1).fill(2));
    const reference = new Reference(t, path, { threads: 2 });
    const cut = (length: number) => chunksOf(length, 128, "f16");
    const differ = differencesOf(chain, reference, FOR_THREADS, cut);
    assert.deepEqual(differ, []);
  });

for (const kv of ["bf16", "q8_0"] as const)
  for (const type of WEIGHTS)
    test(`${type}, ${kv} keys: no bit depends on the chunks, or on each stage's threads`, async (t) => {
      const path = await modelOf(t, type);
      const reference = new Reference(t, path, { kv });
      const isWhole = kv === "bf16" && type === "Q8_0";
      const runs = [
        { threads: [1], by: 192, lengths: isWhole ? EVERY_LENGTH : FEWER },
        { threads: [1, 1], by: 100, lengths: FEWER },
        { threads: [1, 1, 1], by: 32, lengths: FEWER },
        { threads: [2, 1], by: 100, lengths: [254] },
      ];
      for (const { threads, by, lengths } of runs) {
        const chain = await load(t, path, threads, kv);
        const cut = (length: number) => chunksOf(length, by, kv);
        const differ = differencesOf(chain, reference, lengths, cut);
        assert.deepEqual(differ, [], `threads ${threads.join(", ")}, by ${by}`);
      }
    });

/** By session of BESIDE: the logits of its prompt, and of tokens that the sessions share a decode for, or take turns with. */
function beside(
  chain: StageChain,
  isShared: boolean,
  kv: KvType,
): Float32Array[][] {
  const logits = BESIDE.map((length, session) => {
    let position = 0;
    for (const count of chunksOf(length, 128, kv)) {
      chain.decode(session, position, tokens(position, count, session));
      position += count;
    }
    return [chain.logits()];
  });
  for (let i = 0; i < FOLLOWING; i++) {
    const rows = BESIDE.map((length, sequence) => {
      const position = length + i;
      return { sequence, position, tokens: tokens(position, 1, sequence) };
    });
    if (isShared)
      chain.decodeShared(
        rows.map((row) => ({ ...row, token: row.tokens[0]! })),
      );
    for (const { sequence, position, tokens } of rows) {
      if (!isShared) chain.decode(sequence, position, tokens);
      logits[sequence]!.push(chain.logits(isShared ? sequence : -1));
    }
  }
  return logits;
}

/** What 4 sessions get that the reference does not have. */
async function differencesBeside(
  t: TestContext,
  path: string,
  kv: KvType,
  isShared: boolean,
): Promise<string[]> {
  const chain = await StageChain.load(t, path, [1, 1], {
    contextLength: CONTEXT,
    batchTokens: BATCH,
    sessions: BESIDE.length,
    kv,
  });
  const reference = new Reference(t, path, { kv });
  return beside(chain, isShared, kv).flatMap((rows, session) => {
    const length = BESIDE[session]!;
    return differences(length, rows, reference.compute(length, session));
  });
}

/** F16 weights have a kernel for a lone row, and repacked Q4_K one for four. */
for (const [type, kv, areSame] of [
  ["Q8_0", "f16", true],
  ["Q8_0", "bf16", true],
  ["Q8_0", "q8_0", true],
  ["Q4_K", "f16", false],
  ["Q4_K", "bf16", true],
  ["Q4_K", "q8_0", true],
  ["F16", "f16", false],
  ["F16", "bf16", false],
  ["F16", "q8_0", false],
] as const)
  test(`${type}, ${kv} keys: 4 sessions that take turns get llama.cpp's bits; in one decode they ${areSame ? "do too" : "do not"}`, async (t) => {
    const path = await modelOf(t, type);
    assert.deepEqual(await differencesBeside(t, path, kv, false), []);
    const shared = await differencesBeside(t, path, kv, true);
    assert.equal(shared.length === 0, areSame, shared.join(", "));
  });
