/**
 * The kinds of records in the DHT. A kind has a prefix, a size and its own rules. Everybody refuses a key of no kind, so that a stranger
 * cannot use a cluster as a disk.
 */
import { ShoalError } from "../../lib/index.ts";

export interface RecordKind {
  /** Keys of this kind begin with `/<prefix>/`. No slash in it. */
  prefix: string;
  maxBytes: number;
  /** How long a record is kept after it was last received. */
  lifetimeMs: number;
  /** Rejects values that must not be kept under `key`: malformed, forged or expired ones. */
  validate(key: string, value: Uint8Array): Promise<void>;
  /** The number of a value that was valid once: a lower one never replaces a higher one. */
  seq(value: Uint8Array): number;
  /** The owner of a value that was valid once: another owner's never replaces it. Left out if the key names the owner. */
  owner?(value: Uint8Array): string;
}

const RECORD_LIMITS = Object.freeze({
  /** A key is a prefix, a cluster's name (128 characters) and a peer id. */
  keyBytes: 1_024,
});

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** The kinds that a host knows. Every record must pass here: from the wire, from this program and from the disk. */
export class RecordKinds {
  readonly #kinds = new Map<string, RecordKind>();

  constructor(kinds: readonly RecordKind[]) {
    for (const kind of kinds) {
      if (kind.prefix.includes("/") || this.#kinds.has(kind.prefix))
        throw new ShoalError("INTERNAL", `record kind ${kind.prefix}`, {});
      this.#kinds.set(kind.prefix, kind);
    }
  }

  prefixes(): string[] {
    return [...this.#kinds.keys()];
  }

  /** Throws DHT_RECORD_INVALID for a key of no kind. */
  of(key: string): RecordKind {
    const [empty, prefix = "", ...rest] = key.split("/");
    const kind = this.#kinds.get(prefix);
    if (empty !== "" || kind === undefined || rest.length === 0)
      throw invalid("unknown-kind", `unknown kind of record: ${key}`);
    return kind;
  }

  /** Rejects with DHT_RECORD_INVALID and the reason in the details. */
  async check(key: string, value: Uint8Array): Promise<RecordKind> {
    const kind = this.of(key);
    if (value.length > kind.maxBytes)
      throw invalid(
        "oversized",
        `${value.length} bytes; /${kind.prefix}/ allows ${kind.maxBytes}`,
      );
    try {
      await kind.validate(key, value);
    } catch (error) {
      const { message, details } = ShoalError.from(error);
      throw invalid(
        typeof details.reason === "string" ? details.reason : "invalid",
        message,
        error,
      );
    }
    return kind;
  }

  /** The best of several valid values: the newest, or that of the owner with the most votes. */
  best(key: string, values: readonly Uint8Array[]): number {
    const kind = this.of(key);
    const votes = new Map<string, number>();
    const ownerOf = (value: Uint8Array): string => kind.owner?.(value) ?? "";
    for (const value of values)
      votes.set(ownerOf(value), (votes.get(ownerOf(value)) ?? 0) + 1);
    let best = 0;
    const rank = (at: number): [number, string, number] => {
      const value = values[at] ?? new Uint8Array();
      const owner = ownerOf(value);
      return [votes.get(owner) ?? 0, owner, kind.seq(value)];
    };
    for (let at = 1; at < values.length; at++) {
      const [votesA, ownerA, seqA] = rank(at);
      const [votesB, ownerB, seqB] = rank(best);
      // Among owners with equal votes everybody must choose the same.
      const better =
        votesA !== votesB
          ? votesA > votesB
          : ownerA !== ownerB
            ? ownerA < ownerB
            : seqA > seqB;
      if (better) best = at;
    }
    return best;
  }
}

/** Throws DHT_RECORD_INVALID if it is not text or too long. */
export function keyText(key: Uint8Array): string {
  if (key.length > RECORD_LIMITS.keyBytes)
    throw invalid("oversized", `a key of ${key.length} bytes`);
  try {
    return utf8.decode(key);
  } catch (error) {
    throw invalid("malformed", "the key is not UTF-8", error);
  }
}

function invalid(reason: string, what: string, cause?: unknown): ShoalError {
  return new ShoalError(
    "DHT_RECORD_INVALID",
    `record refused (${reason}): ${what}`,
    { reason },
    cause,
  );
}
