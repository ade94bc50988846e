import { hkdfSync } from "node:crypto";
import { ShoalError } from "../lib/index.ts";

export const CONNECTION_ID_BYTES = 16;
export const SECRET_BYTES = 32;
const KEY_BYTES = 32;
const SALT_BYTES = 4;

/** What one end of a data connection needs: 32-byte AES-256-GCM keys and 4-byte nonce salts, one of each a direction. */
export interface RingKeys {
  sendKey: Uint8Array;
  sendSalt: Uint8Array;
  receiveKey: Uint8Array;
  receiveSalt: Uint8Array;
}

/** One side: its peer id, and 32 random bytes that it told the other over their authenticated libp2p connection. */
export interface RingSide {
  peer: string;
  secret: Uint8Array;
}

/**
 * The keys of one data connection, by HKDF-SHA256 over both sides' secrets, bound to the connection's id and both peer ids. Both sides
 * contribute, so neither can bring back old keys, and with them old nonces.
 */
export function ringKeys(o: {
  connection: Uint8Array;
  dialer: RingSide;
  listener: RingSide;
  isDialer: boolean;
}): RingKeys {
  expectBytes("connection", o.connection, CONNECTION_ID_BYTES);
  expectBytes("dialer.secret", o.dialer.secret, SECRET_BYTES);
  expectBytes("listener.secret", o.listener.secret, SECRET_BYTES);
  const secrets = Buffer.concat([o.dialer.secret, o.listener.secret]);
  const info = Buffer.from(
    `shoal data connection 1\n${o.dialer.peer}\n${o.listener.peer}`,
  );
  const length = 2 * (KEY_BYTES + SALT_BYTES);
  const bytes = new Uint8Array(
    hkdfSync("sha256", secrets, o.connection, info, length),
  );
  const fromDialer = {
    key: bytes.slice(0, 32),
    salt: bytes.slice(32, 36),
  };
  const fromListener = {
    key: bytes.slice(36, 68),
    salt: bytes.slice(68, 72),
  };
  const [send, receive] = o.isDialer
    ? [fromDialer, fromListener]
    : [fromListener, fromDialer];
  return {
    sendKey: send.key,
    sendSalt: send.salt,
    receiveKey: receive.key,
    receiveSalt: receive.salt,
  };
}

function expectBytes(what: string, bytes: Uint8Array, length: number): void {
  if (bytes.length !== length)
    throw new ShoalError(
      "INTERNAL",
      `${what} has ${bytes.length} bytes, expected ${length}`,
    );
}
