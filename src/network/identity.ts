/**
 * A node's identity: an Ed25519 key in a file. The peer id is the public key itself, so everyone who knows the id can check a signature.
 */
import { randomBytes } from "node:crypto";
import { link, mkdir, open, readFile, rm } from "node:fs/promises";
import { dirname } from "node:path";
import {
  generateKeyPair,
  privateKeyFromProtobuf,
  privateKeyToProtobuf,
} from "@libp2p/crypto/keys";
import { peerIdFromPrivateKey, peerIdFromString } from "@libp2p/peer-id";
import { ShoalError } from "../lib/index.ts";

export interface Identity {
  readonly peerId: string;
  /** The private key as libp2p's protobuf. A secret. */
  readonly privateKey: Uint8Array;
}

/** A key for one run. */
export async function newIdentity(): Promise<Identity> {
  return fromProtobuf(privateKeyToProtobuf(await generateKeyPair("Ed25519")));
}

/** The key in `path`, created there (mode 0600, with its folder) if missing. A damaged file is reported, never replaced. */
export async function loadOrCreateIdentity(path: string): Promise<Identity> {
  const existing = await readKey(path);
  if (existing !== undefined) return existing;
  const identity = await newIdentity();
  return (await writeKey(path, identity.privateKey))
    ? identity
    : // Another process was faster: use its key.
      ((await readKey(path)) ?? damaged(path, "it vanished while starting"));
}

/** Whether `peerId`'s key made `signature` over `data`. False for ids that do not carry their key. */
export async function verify(
  peerId: string,
  data: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  try {
    const key = peerIdFromString(peerId).publicKey;
    return key !== undefined && (await key.verify(data, signature));
  } catch {
    return false;
  }
}

async function readKey(path: string): Promise<Identity | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new ShoalError(
      "FILE_UNREADABLE",
      `cannot read the identity key ${path}`,
      { path },
      error,
    );
  }
  try {
    return fromProtobuf(bytes);
  } catch (error) {
    return damaged(path, "it has no Ed25519 key", error);
  }
}

/**
 * False if the file exists by now. It is written to a temporary file and linked into place, so it is never half a key and never replaces
 * another one.
 */
async function writeKey(path: string, bytes: Uint8Array): Promise<boolean> {
  const aside = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const file = await open(aside, "wx", 0o600);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await link(aside, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw new ShoalError(
      "FILE_UNWRITABLE",
      `cannot write the identity key ${path}`,
      { path },
      error,
    );
  } finally {
    await rm(aside, { force: true });
  }
}

function fromProtobuf(bytes: Uint8Array): Identity {
  const key = privateKeyFromProtobuf(bytes);
  if (key.type !== "Ed25519") throw new Error(`a ${key.type} key`);
  return {
    peerId: peerIdFromPrivateKey(key).toString(),
    privateKey: new Uint8Array(bytes),
  };
}

function damaged(path: string, reason: string, cause?: unknown): never {
  throw new ShoalError(
    "IDENTITY_INVALID",
    `the identity key ${path} is unusable: ${reason}; move it away to get a new identity`,
    { path },
    cause,
  );
}
