/**
 * The file of `--api-keys`, JSON or YAML:
 *
 *     keys:
 *       - name: alice
 *         key: sk-a-long-random-word       # or, so that the file has no secret: sha256: <64 hex digits>
 *         requestsPerMinute: 60
 *         tokensPerMinute: 20000           # of prompts and replies together
 *         sessions: 2                      # at once; further ones wait
 *         models: [Shoal demo]             # default: all
 */
import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { parse, YAMLParseError } from "yaml";
import { z } from "zod";
import { readError, ShoalError } from "../../lib/index.ts";

export interface KeyLimits {
  /** Undefined: any number. */
  requestsPerMinute?: number | undefined;
  /** Of prompts and replies together. */
  tokensPerMinute?: number | undefined;
  /** At once. */
  sessions?: number | undefined;
  /** Names or manifests of models, or names of clusters. Undefined: all. */
  models?: readonly string[] | undefined;
}

export interface KeyEntry {
  name: string;
  /** SHA-256 of the key's UTF-8 text, 32 bytes. */
  hash: Buffer;
  limits: KeyLimits;
}

/** A thousand keys with all they may have. */
const MAX_FILE_BYTES = 1024 * 1024;
/** Each is compared with each request's key: a thousand take some 0.1 ms. */
const MAX_KEYS = 1_000;
const MAX_NAME_CHARS = 64;
/** Shorter ones can be guessed. */
const MIN_KEY_CHARS = 16;
const MAX_KEY_CHARS = 512;
const MAX_MODELS = 64;
const MAX_MODEL_CHARS = 512;
/** A billion a minute is no limit. */
const MAX_PER_MINUTE = 1e9;
const MAX_SESSIONS = 10_000;
const GROUP_AND_OTHERS = 0o077;

export function hashOf(key: string): Buffer {
  return createHash("sha256").update(key).digest();
}

const text = (least: number, most: number): z.ZodString =>
  z
    .string({ error: "must be text" })
    .min(least, `must have at least ${least} characters`)
    .max(most, `must have at most ${most} characters`);
const whole = (most: number): z.ZodNumber => {
  const error = `must be a whole number from 1 to ${most}`;
  return z.number({ error }).int({ error }).min(1, { error }).max(most, error);
};

const Entry = z
  .strictObject({
    name: text(1, MAX_NAME_CHARS).regex(
      /^[^\p{C}]*$/u,
      "must have no control characters",
    ),
    key: text(MIN_KEY_CHARS, MAX_KEY_CHARS)
      .regex(/^[\x21-\x7e]*$/, "must be ASCII without spaces")
      .optional(),
    sha256: z
      .string({ error: "must be 64 hex digits" })
      .regex(/^[0-9a-f]{64}$/i, "must be 64 hex digits")
      .optional(),
    requestsPerMinute: whole(MAX_PER_MINUTE).optional(),
    tokensPerMinute: whole(MAX_PER_MINUTE).optional(),
    sessions: whole(MAX_SESSIONS).optional(),
    models: z
      .array(text(1, MAX_MODEL_CHARS), { error: "must be a list of names" })
      .min(1, "must name a model; without it the key may use all")
      .max(MAX_MODELS, `must have at most ${MAX_MODELS} names`)
      .optional(),
  })
  .refine(({ key, sha256 }) => (key === undefined) !== (sha256 === undefined), {
    error: "must have either `key` or `sha256`",
  });

const File = z.strictObject({
  keys: z
    .array(Entry, { error: "must be a list" })
    .min(1, "must have a key")
    .max(MAX_KEYS, `must have at most ${MAX_KEYS} keys`),
});

/** `openToOthers`: other users of this machine may read it. */
export interface KeysFile {
  entries: KeyEntry[];
  openToOthers: boolean;
}

/** Throws FILE_NOT_FOUND, FILE_UNREADABLE, or USAGE, which says what of the file is wrong and never quotes a key. */
export async function readKeysFile(path: string): Promise<KeysFile> {
  const { content, mode } = await read(path);
  const entries = parseKeys(content, path);
  // Windows has other rights, which this number does not tell.
  const isTold = process.platform !== "win32";
  return { entries, openToOthers: isTold && (mode & GROUP_AND_OTHERS) !== 0 };
}

async function read(path: string): Promise<{ content: string; mode: number }> {
  try {
    await using file = await open(path);
    const { size, mode } = await file.stat();
    if (size > MAX_FILE_BYTES)
      throw wrong(path, `it has more than ${MAX_FILE_BYTES} bytes`);
    return { content: await file.readFile("utf8"), mode };
  } catch (error) {
    throw readError(error, path);
  }
}

/** JSON is YAML too. */
export function parseKeys(content: string, path: string): KeyEntry[] {
  const parsed = File.safeParse(parseYaml(content, path));
  const issue = parsed.error?.issues[0];
  if (issue !== undefined) throw wrong(path, explained(issue));
  const entries = (parsed.data?.keys ?? []).map(
    ({ name, key, sha256 = "", ...limits }) => ({
      name,
      hash: key === undefined ? Buffer.from(sha256, "hex") : hashOf(key),
      limits,
    }),
  );
  const names = new Set<string>();
  const hashes = new Map<string, string>();
  for (const { name, hash } of entries) {
    const other = hashes.get(hash.toString("hex"));
    if (names.has(name)) throw wrong(path, `two keys are named ${name}`);
    if (other !== undefined)
      throw wrong(path, `${other} and ${name} have the same key`);
    names.add(name);
    hashes.set(hash.toString("hex"), name);
  }
  return entries;
}

function parseYaml(content: string, path: string): unknown {
  try {
    // No aliases: a small text with them can mean a huge one.
    return parse(content, { maxAliasCount: 0, prettyErrors: false });
  } catch (error) {
    // The parser's message may quote a line, and a line may be a key.
    const at = error instanceof YAMLParseError ? error.pos[0] : undefined;
    const line = at === undefined ? "" : ` at line ${lineOf(content, at)}`;
    throw wrong(path, `it is neither JSON nor YAML${line}`);
  }
}

function lineOf(content: string, position: number): number {
  return content.slice(0, position).split("\n").length;
}

/** "keys[1].sessions must be …": the place, and never a value. */
function explained({ path, message, ...issue }: z.core.$ZodIssue): string {
  const place = path
    .map((key, i) =>
      typeof key === "number"
        ? `[${key}]`
        : `${i > 0 ? "." : ""}${String(key)}`,
    )
    .join("");
  const what =
    issue.code === "unrecognized_keys"
      ? `has an unknown field: ${issue.keys.join(", ").slice(0, 100)}`
      : message;
  const isForm = issue.code === "invalid_type" && !what.startsWith("must");
  const said = isForm
    ? `must be ${issue.expected === "object" ? "an object" : `of type ${issue.expected}`}`
    : what;
  return place === "" ? `the file ${said}` : `${place} ${said}`;
}

function wrong(path: string, what: string): ShoalError {
  return new ShoalError("USAGE", `the keys in ${path} are wrong: ${what}`, {
    path,
  });
}
