/**
 * What llama.cpp writes of one sequence, as far as it must be known where another node wrote it: u32 magic, u32 its number, u32 n, the sequences
 * that the context has, then for each of them u32 cells, followed by what is in them. llama.cpp believes how many cells there are, and
 * takes memory for them: so this is checked. Everything behind it llama.cpp checks itself, by types and sizes.
 */
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
} from "node:fs";
import { loadNative } from "./native.ts";
import type { Stage } from "./stage.ts";

const WORD = 4;
const SEQUENCES_AT = 2 * WORD;
const CELLS_AT = 3 * WORD;
/** Above any `--sessions`. */
const MOST_SEQUENCES = 256;

/** Of states that a stage can take. */
export interface StateHead {
  magic: number;
  sequences: number;
}

/** Undefined for a stage with more than one list of cells: of sliding windows, of recurrent layers. */
export function stateHeadOf(stage: Stage): StateHead | undefined {
  const { sessions, context } = stage;
  const sequence = emptySequence(stage);
  const words = new Uint32Array(CELLS_AT / WORD + sessions);
  const { byteLength } = words;
  if (sequence === undefined || stage.bytesOf(sequence) !== byteLength)
    return undefined;
  const into = new Uint8Array(words.buffer);
  if (!loadNative().readSequence(context, sequence, into, byteLength))
    return undefined;
  const [magic = 0, , sequences] = words;
  return sequences === sessions ? { magic, sequences } : undefined;
}

/** Bytes of the state of so many tokens: a line through those of one and two. Undefined while no sequence is empty. */
export function stateSizeOf(
  stage: Stage,
): ((tokens: number) => number) | undefined {
  const sequence = emptySequence(stage);
  if (sequence === undefined) return undefined;
  const bytesAfter = (position: number): number => {
    const activations = new Float32Array(stage.activationLength).fill(0.01);
    const input = stage.isFirst ? undefined : activations;
    stage.decode(sequence, position, Int32Array.of(0), input);
    return stage.bytesOf(sequence);
  };
  const one = bytesAfter(0);
  const more = bytesAfter(1) - one;
  stage.releasePages(sequence);
  return (tokens) => one + (tokens - 1) * more;
}

function emptySequence(stage: Stage): number | undefined {
  for (let sequence = 0; sequence < stage.sessions; sequence++)
    if (stage.lengthOf(sequence) === 0) return sequence;
  return undefined;
}

/**
 * Makes the state of `tokens` tokens in a file one that such a stage can take, whose context may have more or fewer sequences, and whose own states
 * of as many tokens have `size` bytes. False where it is none.
 */
export function fitState(
  path: string,
  tokens: number,
  own: StateHead,
  size: number,
): boolean {
  const fd = openSync(path, "r+");
  try {
    const [magic, , sequences = 0] = wordsAt(fd, 0, CELLS_AT / WORD) ?? [];
    if (magic !== own.magic || sequences > MOST_SEQUENCES) return false;
    const more = own.sequences - sequences;
    const bytes = size - WORD * more;
    if (fstatSync(fd).size !== bytes) return false;
    const cells = wordsAt(fd, CELLS_AT, sequences) ?? [];
    const place = cells.findIndex((count) => count !== 0);
    if (place === -1 || cells[place] !== tokens) return false;
    const after = sequences - 1 - place;
    const others = wordsAt(fd, bytes - WORD * after, after);
    if (others?.every((count) => count === 0) !== true) return false;
    if (more < -after) return false;
    ftruncateSync(fd, size);
    writeSync(fd, Uint32Array.of(own.sequences), 0, WORD, SEQUENCES_AT);
    return true;
  } finally {
    closeSync(fd);
  }
}

function wordsAt(fd: number, at: number, count: number): number[] | undefined {
  const words = new Uint32Array(count);
  if (at < 0 || readSync(fd, words, 0, words.byteLength, at) < words.byteLength)
    return undefined;
  return [...words];
}
