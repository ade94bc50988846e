/**
 * The record that tests whether a peer stores: `/shoal-probe/<peer id>`, signed by that peer. Its owner puts it at one peer and reads it
 * back. Every host knows this kind.
 *
 *     0  u64 LE  number: when it was made, ms by its owner's clock
 *     8  64 B    Ed25519 signature over "<key>\n" and the eight bytes before
 */
import type { RecordKind } from "./records.ts";
import { verify } from "../identity.ts";
import { ShoalError } from "../../lib/index.ts";

const PREFIX = "shoal-probe";
const BYTES = 8 + 64;

export const PROBE_KIND: RecordKind = Object.freeze({
  prefix: PREFIX,
  maxBytes: BYTES,
  /** It is read back within seconds. */
  lifetimeMs: 60_000,
  async validate(key: string, value: Uint8Array): Promise<void> {
    const peer = key.slice(PREFIX.length + 2);
    const valid =
      value.length === BYTES &&
      (await verify(peer, signed(key, value), value.subarray(8)));
    if (!valid)
      throw new ShoalError("DHT_RECORD_INVALID", `not signed by ${peer}`, {
        reason: "forged",
      });
  },
  seq(value: Uint8Array): number {
    return Number(Buffer.from(value).readBigUInt64LE(0));
  },
});

export function probeKey(peer: string): string {
  return `/${PREFIX}/${peer}`;
}

export async function probeRecord(
  key: string,
  seq: number,
  sign: (data: Uint8Array) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const value = Buffer.alloc(BYTES);
  value.writeBigUInt64LE(BigInt(seq), 0);
  value.set(await sign(signed(key, value)), 8);
  return value;
}

function signed(key: string, value: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(`${key}\n`), value.subarray(0, 8)]);
}
