/**
 * The datagrams of hole punching (docs/PROTOCOL.md). Neither begins like a QUIC packet, and both are too short for QUIC to answer.
 *
 *     probe    "\0shoal" version:u8 socket:u8 token:16 bytes     to the reflector, which answers nothing
 *     opening  "\0shoal" version:u8 255:u8                       to a peer, whose router drops it: it opens the sender's own
 */
const MAGIC = Buffer.from("\0shoal", "latin1");
const VERSION = 1;
const SOCKET_AT = MAGIC.length + 1;
const TOKEN_AT = SOCKET_AT + 1;
export const TOKEN_BYTES = 16;
export const PROBE_BYTES = TOKEN_AT + TOKEN_BYTES;
const OPENING = 255;

/** Which socket a probe came from. */
export const PROBED = ["listener", "dialler", "tcp"] as const;
export type Probed = (typeof PROBED)[number];

/** `token`: 32 hexadecimal digits. */
export function encodeProbe(from: Probed, token: string): Buffer {
  return Buffer.concat([
    MAGIC,
    Buffer.of(VERSION, PROBED.indexOf(from)),
    Buffer.from(token, "hex"),
  ]);
}

export const OPENING_DATAGRAM: Buffer = Buffer.concat([
  MAGIC,
  Buffer.of(VERSION, OPENING),
]);

/** Undefined for anything else, of whatever length. */
export function decodeProbe(
  bytes: Uint8Array,
): { from: Probed; token: string } | undefined {
  if (bytes.byteLength !== PROBE_BYTES) return undefined;
  if (MAGIC.some((byte, i) => bytes[i] !== byte)) return undefined;
  if (bytes[MAGIC.length] !== VERSION) return undefined;
  const from = PROBED[bytes[SOCKET_AT] ?? OPENING];
  if (from === undefined) return undefined;
  return { from, token: Buffer.from(bytes.subarray(TOKEN_AT)).toString("hex") };
}
