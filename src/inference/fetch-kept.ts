/** Fetches what another node hands over: in pieces, of which none is larger than it says, checked before anything is done with it. */
import { type FileHandle, open, rm } from "node:fs/promises";
import { promisify } from "node:util";
import { crc32, zstdDecompress } from "node:zlib";
import {
  KeptFacts,
  keptPath,
  type KeptPlace,
  tokensOf,
} from "../engine/index.ts";
import { ShoalError } from "../lib/index.ts";
import { HAND_OVER_DEFAULTS, type KeptPart } from "./hand-over-protocol.ts";

const decompress = promisify(zstdDecompress);

/** Of facts, beside four bytes a token in base64. */
const MOST_FACTS_BYTES = 1_024;

export interface KeptSource {
  /** A compressed piece, and how long all of it is. */
  piece(
    of: KeptPart,
    offset: number,
  ): Promise<{ sizeBytes: number; packed: Uint8Array }>;
}

export interface FetchOptions {
  /** `bytes`: as much as there is room for. */
  place: KeptPlace;
  /** Tokens of a session. */
  contextLength: number;
  /** Told how much it is, before it is fetched; may refuse it. */
  onSize: (bytes: number) => void;
  signal: AbortSignal;
}

/** Where the state is, to be adopted with these facts. Throws COMMAND_MALFORMED for what is not as it should be; then no file is left. */
export async function fetchKept(
  source: KeptSource,
  { place, contextLength, onSize, signal }: FetchOptions,
): Promise<{ path: string; facts: KeptFacts }> {
  const facts = await factsOf(source, contextLength, signal);
  if (facts.bytes > place.bytes)
    throw new ShoalError(
      "DISK_FULL",
      `a state of ${facts.bytes} bytes: there is room for ${place.bytes}`,
    );
  onSize(facts.bytes);
  const path = keptPath(place.folder);
  const file = await open(path, "wx", 0o600);
  try {
    const sum = await fill(file, source, facts.bytes, signal);
    await file.close();
    if (sum !== facts.crc32) throw malformed("its checksum is another");
    return { path, facts };
  } catch (error) {
    await file.close().catch(() => {}); // perhaps closed already
    await rm(path, { force: true });
    throw error;
  }
}

async function factsOf(
  source: KeptSource,
  contextLength: number,
  signal: AbortSignal,
): Promise<KeptFacts> {
  const most = MOST_FACTS_BYTES + Math.ceil((4 * contextLength) / 3) * 4;
  const parts: Uint8Array[] = [];
  for (let at = 0, size = 1; at < size;) {
    const { bytes, sizeBytes } = await pieceOf(source, "facts", at, most);
    signal.throwIfAborted();
    size = sizeBytes;
    at += bytes.length;
    parts.push(bytes);
  }
  const facts = KeptFacts.safeParse(parsed(Buffer.concat(parts)));
  if (!facts.success) throw malformed("its facts are none");
  const tokens = tokensOf(facts.data)?.length ?? 0;
  const { promptTokens, earliest } = facts.data;
  if (tokens === 0 || tokens > contextLength)
    throw malformed(`it has ${tokens} tokens, of ${contextLength} at most`);
  if (promptTokens > contextLength || earliest > tokens)
    throw malformed("its facts contradict each other");
  return facts.data;
}

/** In order, a few under way. The checksum of all. */
async function fill(
  file: FileHandle,
  source: KeptSource,
  sizeBytes: number,
  signal: AbortSignal,
): Promise<number> {
  const { pieceBytes, piecesAtOnce } = HAND_OVER_DEFAULTS;
  const underWay: Promise<Piece>[] = [];
  let asked = 0;
  let sum = 0;
  for (let at = 0; at < sizeBytes;) {
    while (asked < sizeBytes && underWay.length < piecesAtOnce) {
      const piece = pieceOf(source, "state", asked, sizeBytes);
      piece.catch(() => {}); // another one failed before its turn
      underWay.push(piece);
      asked += pieceBytes;
    }
    const piece = await underWay.shift();
    signal.throwIfAborted();
    if (piece?.sizeBytes !== sizeBytes) throw malformed("its size changes");
    await file.write(piece.bytes, 0, piece.bytes.length, at);
    sum = crc32(piece.bytes, sum);
    at += piece.bytes.length;
  }
  return sum;
}

interface Piece {
  bytes: Uint8Array;
  sizeBytes: number;
}

async function pieceOf(
  source: KeptSource,
  of: KeptPart,
  offset: number,
  mostBytes: number,
): Promise<Piece> {
  const { packed, sizeBytes } = await source.piece(of, offset);
  if (sizeBytes > mostBytes || sizeBytes <= offset)
    throw malformed(`its ${of} have ${sizeBytes} bytes`);
  const length = Math.min(HAND_OVER_DEFAULTS.pieceBytes, sizeBytes - offset);
  const bytes = await decompress(packed, { maxOutputLength: length }).catch(
    (error: unknown) => {
      throw malformed("a piece can not be decompressed", error);
    },
  );
  if (bytes.length !== length)
    throw malformed(`a piece has ${bytes.length} bytes instead of ${length}`);
  return { bytes, sizeBytes };
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
}

function malformed(what: string, cause?: unknown): ShoalError {
  return new ShoalError(
    "COMMAND_MALFORMED",
    `what was handed over is refused: ${what}`,
    {},
    cause,
  );
}
