import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../test/support/random.ts";
import { TextStream } from "./text-stream.ts";

function cutAtRandom(bytes: Uint8Array, random: Random): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = random.below(6); // also empty pieces: control tokens
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const singly = (bytes: Uint8Array): Uint8Array[] =>
  [...bytes].map((byte) => Uint8Array.of(byte));

/** The whole output, chunk by chunk, as a client would see it. */
function stream(pieces: Uint8Array[], stop: string[] = []) {
  const text = new TextStream({ stop });
  const chunks = pieces.map((piece) => text.push(piece));
  chunks.push(text.end());
  return { chunks, text: chunks.join(""), stoppedBy: text.stoppedBy };
}

const TEXTS = [
  "plain English",
  "Grüße, naïve café",
  "日本語の文章と漢字。",
  "👩‍👩‍👧‍👦 family, 🇨🇭 flag, 🏴‍☠️",
  "\uFEFFa byte order mark stays\uFEFF",
  "e\u0301 combining, \u0000 zero, \r\n lines",
  "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 beyond the BMP",
];

for (const text of TEXTS) {
  test(`${JSON.stringify(text)} is the same text however its bytes are cut, and no chunk breaks a character`, () => {
    const random = new Random(7);
    const bytes = bytesOf(text);
    const ways = [singly(bytes), [bytes]];
    for (let i = 0; i < 200; i++) ways.push(cutAtRandom(bytes, random));
    for (const pieces of ways) {
      const out = stream(pieces);
      assert.equal(out.text, text);
      for (const chunk of out.chunks) {
        assert.ok(chunk.isWellFormed());
        assert.ok(!chunk.includes("\uFFFD"));
      }
    }
  });
}

test("bytes that are not UTF-8 become what TextDecoder makes of them, however they are cut", () => {
  const random = new Random(11);
  // Bytes that begin, continue and break characters of every length, and ASCII.
  const alphabet = [
    0x41, 0x80, 0xbf, 0xc2, 0xe0, 0xa0, 0xed, 0x9f, 0xef, 0xf0, 0x90, 0xf4,
    0x8f, 0xff,
  ];
  for (let round = 0; round < 3000; round++) {
    const bytes = Uint8Array.from(
      { length: 1 + random.below(12) },
      () => alphabet[random.below(alphabet.length)]!,
    );
    const expected = new TextDecoder("utf-8", { ignoreBOM: true }).decode(
      bytes,
    );
    const hex = Buffer.from(bytes).toString("hex");
    assert.equal(stream(singly(bytes)).text, expected, hex);
    assert.equal(stream(cutAtRandom(bytes, random)).text, expected, hex);
  }
});

test("a character comes out with the last byte of its byte-fallback tokens, not before", () => {
  // <0xF0> <0x9F> <0x90> <0x9F> is 🐟
  const out = stream(singly(Uint8Array.of(0xf0, 0x9f, 0x90, 0x9f)));
  assert.deepEqual(out.chunks, ["", "", "", "🐟", ""]);
});

test("a character that is never finished ends as U+FFFD", () => {
  const out = stream([bytesOf("ok "), Uint8Array.of(0xe6, 0x97)]);
  assert.deepEqual(out.chunks, ["ok ", "", "\uFFFD"]);
});

const STOPS: {
  what: string;
  pieces: string[];
  stop: string[];
  chunks: string[];
  stoppedBy?: string;
}[] = [
  {
    what: "ends before a stop string inside one token",
    pieces: ["one. two"],
    stop: ["."],
    chunks: ["one", ""],
    stoppedBy: ".",
  },
  {
    what: "holds back what may be the beginning of a stop string",
    pieces: ["hi", " us", "er:", " x"],
    stop: [" user:"],
    chunks: ["hi", "", "", "", ""],
    stoppedBy: " user:",
  },
  {
    what: "releases held text once it cannot be a stop string",
    pieces: ["a", "b", "x"],
    stop: ["abc"],
    chunks: ["", "", "abx", ""],
  },
  {
    what: "releases held text at the end",
    pieces: ["end</"],
    stop: ["</s>"],
    chunks: ["end", "</"],
  },
  {
    what: "finds a stop string that begins inside a false beginning of itself",
    pieces: ["aa", "ab"],
    stop: ["aab"],
    chunks: ["", "a", ""],
    stoppedBy: "aab",
  },
  {
    what: "stops at the stop string that is complete first",
    pieces: ["abcd"],
    stop: ["abcd", "bc"],
    chunks: ["a", ""],
    stoppedBy: "bc",
  },
  {
    what: "stops at the longer of two that end together",
    pieces: ["xabc"],
    stop: ["c", "abc"],
    chunks: ["x", ""],
    stoppedBy: "abc",
  },
  {
    what: "knows stop strings outside ASCII",
    pieces: ["好", "。再", "见"],
    stop: ["。再见"],
    chunks: ["好", "", "", ""],
    stoppedBy: "。再见",
  },
];

for (const { what, pieces, stop, chunks, stoppedBy } of STOPS) {
  test(`the text ${what}`, () => {
    const out = stream(pieces.map(bytesOf), stop);
    assert.deepEqual(out.chunks, chunks);
    assert.equal(out.stoppedBy, stoppedBy);
  });
}

test("with stop strings too, the text is the same however its bytes are cut", () => {
  const random = new Random(3);
  const letters = ["a", "b", "ä", "🐟"];
  const word = (most: number): string =>
    Array.from(
      { length: 1 + random.below(most) },
      () => letters[random.below(letters.length)]!,
    ).join("");
  for (let round = 0; round < 2000; round++) {
    const bytes = bytesOf(word(20));
    const stop = [word(4), word(4)];
    const whole = stream([bytes], stop);
    const cut = stream(cutAtRandom(bytes, random), stop);
    const byByte = stream(singly(bytes), stop);
    assert.deepEqual(
      [cut.text, cut.stoppedBy, byByte.text, byByte.stoppedBy],
      [whole.text, whole.stoppedBy, whole.text, whole.stoppedBy],
    );
    for (const s of stop) assert.ok(!cut.text.includes(s));
  }
});
