/**
 * The calls of OpenSSL that encrypt frames, taken from node's own binary. No other file names one. `node:crypto` makes a new cipher for each
 * frame, which takes 16 to 90 µs; a kept context takes 1 to 7 and gives the same bytes. Signatures: openssl/evp.h, the same in 1.1 and 3.
 */
import koffi, { type LibraryHandle } from "koffi";
import { ShoalError } from "../lib/index.ts";

/** Addresses are numbers; 0 leaves a parameter as it is. Each call returns 1 if it succeeded. */
export interface Openssl {
  newContext(): number;
  freeContext(context: number): void;
  aes256Gcm(): number;
  encryptInit(
    context: number,
    cipher: number,
    engine: number,
    key: number,
    iv: number,
  ): number;
  encryptUpdate(
    context: number,
    out: number,
    outLength: number,
    from: number,
    length: number,
  ): number;
  /** The same call with an array instead of an address. */
  encryptArray(
    context: number,
    out: number,
    outLength: number,
    from: Uint8Array,
    length: number,
  ): number;
  encryptFinal(context: number, out: number, outLength: number): number;
  decryptInit(
    context: number,
    cipher: number,
    engine: number,
    key: number,
    iv: number,
  ): number;
  decryptUpdate(
    context: number,
    out: number,
    outLength: number,
    from: number,
    length: number,
  ): number;
  decryptFinal(context: number, out: number, outLength: number): number;
  control(
    context: number,
    type: number,
    argument: number,
    pointer: number,
  ): number;
}

export const EVP_CTRL_AEAD_GET_TAG = 0x10;
export const EVP_CTRL_AEAD_SET_TAG = 0x11;

function bindOpenssl(node: LibraryHandle): Openssl {
  const f = (declaration: string): never =>
    node.func(declaration) as unknown as never;
  const init = "(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t)";
  const update = "(uintptr_t, uintptr_t, uintptr_t, uintptr_t, int)";
  return {
    newContext: f("uintptr_t EVP_CIPHER_CTX_new()"),
    freeContext: f("void EVP_CIPHER_CTX_free(uintptr_t)"),
    aes256Gcm: f("uintptr_t EVP_aes_256_gcm()"),
    encryptInit: f(`int EVP_EncryptInit_ex${init}`),
    encryptUpdate: f(`int EVP_EncryptUpdate${update}`),
    encryptArray: f(
      "int EVP_EncryptUpdate(uintptr_t, uintptr_t, uintptr_t, const void *, int)",
    ),
    encryptFinal: f("int EVP_EncryptFinal_ex(uintptr_t, uintptr_t, uintptr_t)"),
    decryptInit: f(`int EVP_DecryptInit_ex${init}`),
    decryptUpdate: f(`int EVP_DecryptUpdate${update}`),
    decryptFinal: f("int EVP_DecryptFinal_ex(uintptr_t, uintptr_t, uintptr_t)"),
    control: f("int EVP_CIPHER_CTX_ctrl(uintptr_t, int, int, uintptr_t)"),
  };
}

function find(): Openssl | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    return bindOpenssl(koffi.load(null));
  } catch {
    return undefined; // a node that was linked in another way
  }
}

const bound = find();
export const hasOpenssl = bound !== undefined;

export function openssl(): Openssl {
  if (bound === undefined)
    throw new ShoalError(
      "INTERNAL",
      "this node's binary does not export OpenSSL's functions",
    );
  return bound;
}
