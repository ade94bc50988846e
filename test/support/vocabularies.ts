/** A small vocabulary for each kind of tokenizer that llama.cpp has, as it stands in a GGUF's key-values. */
import type { GgufValue } from "../../src/gguf/index.ts";

export interface VocabularyCase {
  /** Of `enum llama_vocab_type` (include/llama.h at v0.5.0). */
  kind: string;
  /** The length of the vocabulary. */
  size: number;
  metadata: ReadonlyMap<string, GgufValue>;
  /** A text that is one token. */
  whole: string;
  /** Whether llama.cpp puts a token before a text. In PLaMo 2 it does not, even where the file says so. */
  begins: boolean;
  /** Texts that it gives back. */
  texts: readonly string[];
  /** Texts that it changes, and what they become. */
  changed?: Readonly<Record<string, string>>;
}

/** `enum llama_token_type`. */
const [NORMAL, UNKNOWN, CONTROL, BYTE] = [1, 2, 3, 6];
type Token = readonly [text: string, type: number, score: number];

const ANY_TEXTS = [
  "the sea and the old man",
  "Zoë, naïve: 12 345!",
  "日本語 🐟🐠",
  "line\n\tnext  two spaces",
];
const LETTERS = Array.from("abcdefghijklmnopqrstuvwxyz");
const WORDS = ["the", "sea", "old", "man"];
const BYTES = Array.from({ length: 256 }, (_, byte) => byte);
const hex = (byte: number): string =>
  byte.toString(16).toUpperCase().padStart(2, "0");
const byteToken = (byte: number): Token => [`<0x${hex(byte)}>`, BYTE, 0];

function vocabulary(
  model: string,
  tokens: readonly Token[],
  more: Readonly<Record<string, GgufValue>> = {},
): Pick<VocabularyCase, "size" | "metadata"> {
  const array = (
    element: "float32" | "int32",
    value: Float32Array | Int32Array,
  ): GgufValue => ({ type: "array", element, value }) as GgufValue;
  const metadata = new Map<string, GgufValue>([
    ["model", { type: "string", value: model }],
    [
      "tokens",
      {
        type: "array",
        element: "string",
        value: tokens.map(([text]) => text),
      },
    ],
    [
      "token_type",
      array(
        "int32",
        Int32Array.from(tokens, ([, type]) => type),
      ),
    ],
    [
      "scores",
      array(
        "float32",
        Float32Array.from(tokens, ([, , score]) => score),
      ),
    ],
    ...Object.entries(more),
  ]);
  return {
    size: tokens.length,
    metadata: new Map(
      [...metadata].map(([key, value]) => [`tokenizer.ggml.${key}`, value]),
    ),
  };
}

const id = (value: number): GgufValue => ({ type: "uint32", value });
const flag = (value: boolean): GgufValue => ({ type: "bool", value });

/** GPT-2 writes a byte that cannot be seen as a letter after U+0100. */
function gpt2Letter(byte: number): string {
  const isSeen = (b: number): boolean =>
    (b > 32 && b < 127) || (b > 160 && b !== 173);
  const before = BYTES.slice(0, byte).filter((b) => !isSeen(b)).length;
  return String.fromCharCode(isSeen(byte) ? byte : 256 + before);
}

function bpe(): VocabularyCase {
  const merges = ["t h", "th e", "Ġ the"];
  const tokens = [
    ...BYTES.map((byte): Token => [gpt2Letter(byte), NORMAL, 0]),
    ...merges.map((pair): Token => [pair.replace(" ", ""), NORMAL, 0]),
    ["<|endoftext|>", CONTROL, 0] as const,
  ];
  const end = tokens.length - 1;
  return {
    kind: "BPE",
    ...vocabulary("gpt2", tokens, {
      pre: { type: "string", value: "gpt-2" },
      merges: { type: "array", element: "string", value: merges },
      bos_token_id: id(end),
      eos_token_id: id(end),
      add_bos_token: flag(true),
    }),
    whole: " the",
    begins: true,
    texts: ANY_TEXTS,
  };
}

function wordPiece(): VocabularyCase {
  const tokens: Token[] = [
    ["[PAD]", CONTROL, 0],
    ["[UNK]", UNKNOWN, 0],
    ["[CLS]", CONTROL, 0],
    ["[SEP]", CONTROL, 0],
    // ▁ begins a word.
    ...[...LETTERS, ",", "."].map((text): Token => [`▁${text}`, NORMAL, 0]),
    ...LETTERS.map((text): Token => [text, NORMAL, 0]),
    ...WORDS.map((text): Token => [`▁${text}`, NORMAL, 0]),
  ];
  return {
    kind: "WPM",
    ...vocabulary("bert", tokens, {
      padding_token_id: id(0),
      unknown_token_id: id(1),
      bos_token_id: id(2),
      eos_token_id: id(3),
      seperator_token_id: id(3), // llama.cpp spells the key so
      add_bos_token: flag(true),
    }),
    whole: "the",
    begins: true,
    texts: ["the sea and the old man", "a , b ."],
    // Capitals, accents and spaces around punctuation are not kept.
    changed: { "The SEA, naïve.": "the sea , naive ." },
  };
}

function unigram(): VocabularyCase {
  const tokens: Token[] = [
    ["<pad>", CONTROL, 0],
    ["</s>", CONTROL, 0],
    ["<unk>", UNKNOWN, 0],
    ...["▁", ...LETTERS, ",", "ë", "日"].map((text): Token => [
      text,
      NORMAL,
      -8,
    ]),
    ...WORDS.map((text): Token => [`▁${text}`, NORMAL, -4]),
  ];
  return {
    kind: "UGM",
    ...vocabulary("t5", tokens, {
      padding_token_id: id(0),
      eos_token_id: id(1),
      unknown_token_id: id(2),
      add_space_prefix: flag(true),
      add_bos_token: flag(false),
    }),
    whole: "the",
    begins: false,
    texts: ["the sea and the old man", "noë, 日"],
  };
}

function rwkv(): VocabularyCase {
  const tokens: Token[] = [
    ["<s>", CONTROL, 0],
    ...BYTES.map((byte): Token => [`\\x${hex(byte).toLowerCase()}`, NORMAL, 0]),
    ...WORDS.map((text): Token => [text, NORMAL, 0]),
    ["日本", NORMAL, 0],
  ];
  return {
    kind: "RWKV",
    ...vocabulary("rwkv", tokens, { bos_token_id: id(0), eos_token_id: id(0) }),
    whole: "日本",
    begins: false,
    texts: ANY_TEXTS,
  };
}

/**
 * For replies in JSON by a model of random weights: whole characters, and many pieces that end a string or a list, as real vocabularies have
 * them, so that replies come to an end.
 */
export function jsonVocabulary(): Pick<VocabularyCase, "size" | "metadata"> {
  const ascii = Array.from({ length: 126 }, (_, i) =>
    String.fromCharCode(i + 1),
  );
  const ends = ascii.slice(31).flatMap((char) => [`"${char}`, `${char}"`]);
  const more = [
    "}}",
    "]]",
    '"}]',
    "true",
    "null",
    "12",
    "2024-",
    "é",
    "日本",
    "🐟",
  ];
  const texts = [...ascii, ...new Set([...ends, ...more])];
  return vocabulary(
    "rwkv",
    [
      ["<s>", CONTROL, 0],
      ...texts.map((text): Token => [rwkvText(text), NORMAL, 0]),
    ],
    { bos_token_id: id(0), eos_token_id: id(0) },
  );
}

/** llama.cpp reads the escapes of Python in this kind of vocabulary. */
function rwkvText(text: string): string {
  return Array.from(Buffer.from(text), (byte) =>
    byte > 32 && byte < 127 && byte !== 92
      ? String.fromCharCode(byte)
      : `\\x${hex(byte).toLowerCase()}`,
  ).join("");
}

function plamo2(): VocabularyCase {
  const tokens: Token[] = [
    ["<|plamo:unk|>", UNKNOWN, 0],
    ["<|plamo:bos|>", CONTROL, 0],
    ["<|plamo:eos|>", CONTROL, 0],
    ...BYTES.map(byteToken),
    ...LETTERS.map((text): Token => [text, NORMAL, -8]),
    ...[...WORDS, "日本"].map((text): Token => [text, NORMAL, -4]),
  ];
  return {
    kind: "PLAMO2",
    ...vocabulary("plamo2", tokens, {
      unknown_token_id: id(0),
      bos_token_id: id(1),
      eos_token_id: id(2),
      add_bos_token: flag(true),
    }),
    whole: "日本",
    begins: false,
    texts: ANY_TEXTS,
  };
}

function sentencePiece(): VocabularyCase {
  // ▁ is a space. The better the score, the earlier two pieces become one.
  const merged = ["▁t", "▁th", "▁the", "▁s", "ea", "▁sea"];
  const tokens: Token[] = [
    ["<unk>", UNKNOWN, 0],
    ["<s>", CONTROL, 0],
    ["</s>", CONTROL, 0],
    ...BYTES.map(byteToken),
    ...merged.map((text, i): Token => [text, NORMAL, -1 - i]),
    ...["▁", ...LETTERS].map((text, i): Token => [text, NORMAL, -10 - i]),
  ];
  return {
    kind: "SPM",
    ...vocabulary("llama", tokens, {
      unknown_token_id: id(0),
      bos_token_id: id(1),
      eos_token_id: id(2),
      add_bos_token: flag(true),
    }),
    whole: "the",
    begins: true,
    texts: ANY_TEXTS,
  };
}

/** In the order of `enum llama_vocab_type`, without its NONE. */
export const VOCABULARIES: readonly VocabularyCase[] = [
  sentencePiece(),
  bpe(),
  wordPiece(),
  unigram(),
  rwkv(),
  plamo2(),
];
