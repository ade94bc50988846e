/**
 * The body of a TOKEN for the gateway, docs/PROTOCOL.md. The last stage tells only what OPEN's sampling asks for:
 *
 *     i32 token
 *     f32 mu                               with mirostat
 *     f32 logprob, then n times i32 token, f32 logprob     with logprobs ≥ 0; n is at most that
 */
import { ShoalError } from "../lib/index.ts";

/** Of the likeliest tokens told with one; a TOKEN has at most 812 bytes with them. */
export const MAX_LIKELIEST = 100;
export const MAX_TOKEN_BYTES = 4 + 4 + 4 + 8 * MAX_LIKELIEST;

export interface TokenBody {
  token: number;
  mu?: number;
  logprobs?: {
    logprob: number;
    top: readonly { token: number; logprob: number }[];
  };
}

export function encodeToken({ token, mu, logprobs }: TokenBody): Buffer {
  const top = logprobs?.top ?? [];
  const rest = logprobs === undefined ? 0 : 4 + 8 * top.length;
  const out = Buffer.alloc(4 + (mu === undefined ? 0 : 4) + rest);
  let at = out.writeInt32LE(token, 0);
  if (mu !== undefined) at = out.writeFloatLE(mu, at);
  if (logprobs === undefined) return out;
  at = out.writeFloatLE(logprobs.logprob, at);
  for (const one of top)
    at = out.writeFloatLE(one.logprob, out.writeInt32LE(one.token, at));
  return out;
}

/** `likeliest`: how many were asked for; -1: no log probabilities. Throws FRAME_MALFORMED. */
export function decodeToken(
  body: Uint8Array,
  { hasMu, likeliest }: { hasMu: boolean; likeliest: number },
): TokenBody {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const head = hasMu ? 8 : 4;
  const count = likeliest < 0 ? 0 : (body.length - head - 4) / 8;
  const length = likeliest < 0 ? head : head + 4 + 8 * count;
  const isWhole = Number.isInteger(count) && count >= 0;
  if (body.length !== length || !isWhole || count > Math.max(0, likeliest))
    throw malformed(`TOKEN has ${body.length} bytes`);
  const float = (at: number): number => {
    const value = view.getFloat32(at, true);
    if (!Number.isFinite(value)) throw malformed("TOKEN has no number");
    return value;
  };
  const decoded: TokenBody = { token: view.getInt32(0, true) };
  if (hasMu) decoded.mu = float(4);
  if (likeliest < 0) return decoded;
  const top = Array.from({ length: count }, (_, i) => ({
    token: view.getInt32(head + 4 + 8 * i, true),
    logprob: float(head + 8 + 8 * i),
  }));
  return { ...decoded, logprobs: { logprob: float(head), top } };
}

function malformed(message: string): ShoalError {
  return new ShoalError("FRAME_MALFORMED", message);
}
