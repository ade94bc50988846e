/**
 * The first bytes of a data connection. The dialer sends the magic with the version, the connection's id, and its hello: a frame whose body
 * is the magic. The listener answers with its own hello. A hello that opens proves that the other side has the connection's keys.
 */
import { FRAME_OVERHEAD } from "./gcm.ts";
import { CONNECTION_ID_BYTES } from "./keys.ts";
import type { Memory } from "./libc.ts";

/** "SHOALDC", version 1. */
export const MAGIC: Uint8Array = Uint8Array.of(
  0x53,
  0x48,
  0x4f,
  0x41,
  0x4c,
  0x44,
  0x43,
  0x01,
);
export const PREFACE_BYTES = MAGIC.length + CONNECTION_ID_BYTES;
export const HELLO_BYTES = MAGIC.length + FRAME_OVERHEAD;

export function beginsWithMagic(bytes: Uint8Array): boolean {
  return MAGIC.every((byte, i) => bytes[i] === byte);
}

/** The length of the frame at `at`. */
export function lengthAt(memory: Memory, at: number): number {
  return memory.view.getUint32(at, true);
}
