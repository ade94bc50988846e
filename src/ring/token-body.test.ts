/** A TOKEN for the gateway tells what was asked for, and nothing else passes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decodeToken,
  encodeToken,
  MAX_LIKELIEST,
  MAX_TOKEN_BYTES,
  type TokenBody,
} from "./token-body.ts";

const PLAIN = { hasMu: false, likeliest: -1 };
const top = (count: number): { token: number; logprob: number }[] =>
  Array.from({ length: count }, (_, i) => ({ token: i, logprob: -i / 4 }));

test("a token comes back with what goes with it", () => {
  const cases: [TokenBody, typeof PLAIN, bytes: number][] = [
    [{ token: 7 }, PLAIN, 4],
    [{ token: 7, mu: 4.5 }, { ...PLAIN, hasMu: true }, 8],
    [
      { token: 7, logprobs: { logprob: -0.5, top: [] } },
      { ...PLAIN, likeliest: 0 },
      8,
    ],
    [
      { token: 7, mu: 1, logprobs: { logprob: -0.5, top: top(MAX_LIKELIEST) } },
      { hasMu: true, likeliest: MAX_LIKELIEST },
      MAX_TOKEN_BYTES,
    ],
  ];
  for (const [body, asked, bytes] of cases) {
    const encoded = encodeToken(body);
    assert.equal(encoded.length, bytes);
    assert.deepEqual(decodeToken(encoded, asked), body);
  }
  const fewer = { token: 1, logprobs: { logprob: -1, top: top(2) } };
  const asked = { ...PLAIN, likeliest: 5 };
  assert.deepEqual(decodeToken(encodeToken(fewer), asked), fewer);
});

test("more or less than was asked for is malformed, and so is what is no number", () => {
  const logprobs = { logprob: -1, top: top(3) };
  const cases: [Uint8Array, typeof PLAIN][] = [
    [new Uint8Array(0), PLAIN],
    [new Uint8Array(3), PLAIN],
    [encodeToken({ token: 1, mu: 2 }), PLAIN],
    [encodeToken({ token: 1 }), { ...PLAIN, hasMu: true }],
    [encodeToken({ token: 1 }), { ...PLAIN, likeliest: 0 }],
    [encodeToken({ token: 1, logprobs }), { ...PLAIN, likeliest: 2 }],
    [
      encodeToken({ token: 1, logprobs }).subarray(0, -1),
      { ...PLAIN, likeliest: 3 },
    ],
    [encodeToken({ token: 1, mu: NaN }), { ...PLAIN, hasMu: true }],
    [
      encodeToken({ token: 1, logprobs: { logprob: -Infinity, top: [] } }),
      { ...PLAIN, likeliest: 0 },
    ],
  ];
  for (const [body, asked] of cases)
    assert.throws(() => decodeToken(body, asked), { code: "FRAME_MALFORMED" });
});
