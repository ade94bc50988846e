/** Two homes and a rendezvous in public, each a process of its own (punch-side.ts): what can be punched between them, and how fast. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { withDeadline } from "../../src/lib/index.ts";
import { type HomeKind, type HomeOptions, Homes } from "./homes.ts";
import type { Place } from "./namespaces.ts";
import type { PunchReady, PunchReply, PunchRequest } from "./punch-side.ts";

const SIDE = join(import.meta.dirname, "punch-side.ts");
/** Ends a hang: the machine may be busy. */
const PATIENCE_MS = 120_000;

export class PunchLab implements AsyncDisposable {
  readonly #homes: Homes;
  readonly #all: ChildProcess[] = [];
  #rendezvous: string[] = [];

  private constructor(homes: Homes) {
    this.#homes = homes;
  }

  static async create(): Promise<PunchLab> {
    const lab = new PunchLab(await Homes.create());
    try {
      const place = await lab.#homes.public();
      const side = lab.#start(place, ["rendezvous", addressOf(place)]);
      const { addresses } = await said<PunchReady>(side);
      lab.#rendezvous = addresses;
      return lab;
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
  }

  async home(kind: HomeKind, options: HomeOptions = {}): Promise<Side> {
    const place = await this.#homes.home(kind, options);
    const args = ["member", addressOf(place), ...this.#rendezvous];
    const process = this.#start(place, args);
    await said(process);
    return new Side(process);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.#all) one.kill("SIGKILL");
    await this.#homes[Symbol.asyncDispose]();
  }

  #start({ within }: Place, args: string[]): ChildProcess {
    const side = fork(SIDE, args, within);
    this.#all.push(side);
    return side;
  }
}

export class Side {
  readonly #process: ChildProcess;

  constructor(process: ChildProcess) {
    this.#process = process;
  }

  /** A new key and new sockets, connected with the rendezvous. */
  async renew(quic = true): Promise<string> {
    return (await this.#ask<PunchReady>({ do: "renew", quic })).peerId;
  }

  async connect(peer: string): Promise<PunchReply> {
    return await this.#ask({ do: "connect", peer });
  }

  async echo(peer: string, bytes: number): Promise<PunchReply> {
    return await this.#ask({ do: "echo", peer, bytes });
  }

  async #ask<T>(request: PunchRequest): Promise<T> {
    const answer = said<T>(this.#process);
    this.#process.send(request);
    return await answer;
  }
}

/** IPv4 where it has one. */
function addressOf({ addresses }: Place): string {
  return addresses[0] ?? "";
}

async function said<T>(process: ChildProcess): Promise<T> {
  const over = new AbortController();
  const { signal } = over;
  const message = once(process, "message", { signal });
  const ended = once(process, "exit", { signal }).then(() => {
    throw new Error("a side ended");
  });
  ended.catch(() => {}); // where the answer came first
  try {
    const first = Promise.race([message, ended]);
    const what = "a side's answer";
    const [answer] = await withDeadline(PATIENCE_MS, what, () => first);
    return answer as T;
  } finally {
    over.abort();
  }
}
