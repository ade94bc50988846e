import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Random } from "../../test/support/random.ts";
import { isShoalError } from "../lib/index.ts";
import {
  AnswerType,
  AskType,
  BITS_PER_FRAME,
  decodeAnswer,
  decodeAsk,
  encodeAsk,
  encodeHave,
  encodeInterest,
  encodeReject,
  encodeSlot,
  HASHES_PER_FRAME,
  listHead,
  MAX_ANSWER_BYTES,
  MAX_ASK_BYTES,
  pieceHead,
  Reason,
  WHOLE,
} from "./wire.ts";

const ROOT = "ab".repeat(32);
const GIB = 2 ** 30;

function joined(...parts: Uint8Array[]): Uint8Array {
  return Buffer.concat(parts);
}

test("the bytes are those of the header comment", () => {
  const bytes = (frame: Uint8Array): string =>
    Buffer.from(frame).toString("hex");
  assert.equal(bytes(encodeInterest(2, ROOT)), `0102000000${ROOT}`);
  assert.equal(bytes(encodeAsk(AskType.Request, 1, 258)), "030100000002010000");
  assert.equal(bytes(encodeAsk(AskType.Leave, 1)), "0501000000");
  assert.equal(
    bytes(listHead(AnswerType.HaveMap, 1, 5 * GIB, 0)),
    `1001000000${"0000004001000000"}00000000`,
  );
  assert.equal(bytes(encodeHave(1, true, [3])), "12010000000003000000");
  assert.equal(bytes(pieceHead(1, 2, 3)), "13010000000200000003000000");
  assert.equal(
    bytes(encodeReject(1, WHOLE, Reason.Changed)),
    "1401000000ffffffff03",
  );
  assert.equal(bytes(encodeSlot(false, 7)), "150007000000");
});

describe("encoded frames decode to themselves", () => {
  test("by the holder", () => {
    assert.deepEqual(decodeAsk(encodeInterest(7, ROOT)), {
      type: AskType.Interest,
      channel: 7,
      root: ROOT,
    });
    assert.equal(encodeInterest(0, ROOT).length, MAX_ASK_BYTES);
    assert.deepEqual(decodeAsk(encodeAsk(AskType.AskHashes, 1, 4096)), {
      type: AskType.AskHashes,
      channel: 1,
      first: 4096,
    });
    for (const type of [AskType.Request, AskType.Cancel] as const)
      assert.deepEqual(decodeAsk(encodeAsk(type, 1, 9)), {
        type,
        channel: 1,
        piece: 9,
      });
    assert.deepEqual(decodeAsk(encodeAsk(AskType.Leave, 0xffff_ffff)), {
      type: AskType.Leave,
      channel: 0xffff_ffff,
    });
  });

  test("by the asker", () => {
    const map = joined(
      listHead(AnswerType.HaveMap, 1, 10 * 2 ** 20, 0),
      Uint8Array.of(0xff, 0b11),
    );
    assert.deepEqual(decodeAnswer(map), {
      type: AnswerType.HaveMap,
      channel: 1,
      sizeBytes: 10 * 2 ** 20,
      first: 0,
      bits: Buffer.of(0xff, 0b11),
    });
    assert.deepEqual(decodeAnswer(encodeHave(1, false, [1, 2])), {
      type: AnswerType.Have,
      channel: 1,
      verified: false,
      pieces: [1, 2],
    });
    assert.deepEqual(decodeAnswer(encodeReject(1, 2, Reason.TooMany)), {
      type: AnswerType.Reject,
      channel: 1,
      piece: 2,
      reason: Reason.TooMany,
    });
    assert.deepEqual(decodeAnswer(encodeSlot(true, 0)), {
      type: AnswerType.Slot,
      served: true,
      ahead: 0,
    });
  });

  test("also of a content of four terabytes", () => {
    const size = 2 ** 42;
    const bits = new Uint8Array(BITS_PER_FRAME / 8).fill(0xff);
    const hashes = new Uint8Array(HASHES_PER_FRAME * 32);
    for (const [type, body, first] of [
      [AnswerType.HaveMap, bits, 3 * BITS_PER_FRAME],
      [AnswerType.Hashes, hashes, 2 ** 22 - HASHES_PER_FRAME],
    ] as const) {
      const frame = joined(listHead(type, 0, size, first), body);
      assert.ok(frame.length <= MAX_ANSWER_BYTES);
      const answer = decodeAnswer(frame);
      assert.ok("sizeBytes" in answer && answer.sizeBytes === size);
    }
  });
});

const MALFORMED: readonly [string, Uint8Array][] = [
  ["nothing", new Uint8Array()],
  ["an unknown type", Uint8Array.of(200, 0, 0, 0, 0)],
  [
    "a map with a bit too many",
    joined(listHead(AnswerType.HaveMap, 0, GIB - 1, 0), new Uint8Array(129)),
  ],
  [
    "a map with a spare bit set",
    joined(listHead(AnswerType.HaveMap, 0, 2 ** 20, 0), Uint8Array.of(0b10)),
  ],
  [
    "a map that begins at any piece",
    joined(listHead(AnswerType.HaveMap, 0, GIB, 8), new Uint8Array(127)),
  ],
  ["a map of nothing", listHead(AnswerType.HaveMap, 0, 0, 0)],
  ["hashes of nothing", listHead(AnswerType.Hashes, 0, 0, 0)],
  [
    "hashes past the end",
    joined(listHead(AnswerType.Hashes, 0, 2 ** 20, 1), new Uint8Array(32)),
  ],
  [
    "half a hash",
    joined(listHead(AnswerType.Hashes, 0, 2 ** 20, 0), new Uint8Array(16)),
  ],
  [
    "more than four terabytes",
    joined(
      listHead(AnswerType.HaveMap, 0, 2 ** 42 + 1, 0),
      new Uint8Array(2 ** 17),
    ),
  ],
  ["no pieces", encodeHave(0, true, [])],
  ["a third of a piece", encodeHave(0, true, [1]).subarray(0, 9)],
  ["too many pieces", encodeHave(0, true, new Array<number>(1025).fill(0))],
  ["a piece without data", pieceHead(0, 0, 0)],
  ["a reject without a reason", encodeReject(0, 0, 1).subarray(0, 9)],
  ["a reject with an unknown reason", encodeReject(0, 0, 6 as Reason)],
  ["a slot that is neither 0 nor 1", Uint8Array.of(21, 2, 0, 0, 0, 0)],
];

for (const [name, frame] of MALFORMED) {
  test(`${name} is malformed`, () => {
    assert.throws(
      () => decodeAnswer(frame),
      (error) => isShoalError(error, "FRAME_MALFORMED"),
    );
  });
}

for (const frame of [
  new Uint8Array(),
  Uint8Array.of(1),
  encodeInterest(0, ROOT).subarray(0, 36),
  encodeAsk(AskType.Leave, 1, 2),
  encodeAsk(AskType.Request, 1),
  Uint8Array.of(19, 0, 0, 0, 0, 0, 0, 0, 0),
]) {
  test(`an ask of ${frame.length} bytes, type ${frame[0] ?? "none"}, is malformed`, () => {
    assert.throws(
      () => decodeAsk(frame),
      (error) => isShoalError(error, "FRAME_MALFORMED"),
    );
  });
}

test("random bytes are either decoded or malformed", () => {
  const random = new Random(1);
  for (let i = 0; i < 20_000; i++) {
    const frame = new Uint8Array(random.below(40)).map(() => random.next());
    frame[0] = i % 24;
    for (const decode of [decodeAsk, decodeAnswer]) {
      try {
        decode(frame);
      } catch (error) {
        assert.ok(isShoalError(error, "FRAME_MALFORMED"), String(error));
      }
    }
  }
});
