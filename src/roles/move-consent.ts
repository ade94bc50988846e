/**
 * Whether a node's layers may change. With `--move ask` its operator agrees on the node's own machine, for one change: a note in its state
 * folder, which `shoal plan --agree` leaves. Whoever only reaches the node's ports can not.
 */
import { mkdir, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  type MovePolicy,
  movePolicyOf,
  type NodeOptions,
} from "./node-options.ts";

/** A note that nobody used is forgotten: what was agreed to is not the same any more. */
const VALID_MS = 24 * 3_600_000;

export class MoveConsent {
  readonly #policy: MovePolicy;
  readonly #path: string;
  #isGiven = false;

  constructor(options: Pick<NodeOptions, "move" | "shard">, stateDir: string) {
    this.#policy = movePolicyOf(options);
    this.#path = consentPath(stateDir);
  }

  /** As it is announced: an agreed node moves like one that needs not be asked. */
  get announced(): "auto" | "ask" | undefined {
    if (this.#policy === "off") return undefined;
    return this.#policy === "auto" || this.#isGiven ? "auto" : "ask";
  }

  /** Looks for the note. Returns whether that changed what is announced. */
  async refresh(): Promise<boolean> {
    if (this.#policy !== "ask") return false;
    const before = this.#isGiven;
    const note = await stat(this.#path).catch(() => undefined);
    this.#isGiven = note !== undefined && Date.now() - note.mtimeMs < VALID_MS;
    return before !== this.#isGiven;
  }

  /** The change is made: the next one is asked for again. */
  async used(): Promise<void> {
    if (this.#policy !== "ask") return;
    this.#isGiven = false;
    await rm(this.#path, { force: true });
  }
}

/** Agrees, for the node whose state folder that is. */
export async function agreeToMove(stateDir: string): Promise<void> {
  const path = consentPath(stateDir);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, "");
}

function consentPath(stateDir: string): string {
  return join(stateDir, "agreed-to-move");
}
