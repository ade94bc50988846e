/** Who sends a request: a key, or anybody at an address. */
import { isIPv6 } from "node:net";
import type { FastifyReply } from "fastify";
import {
  type Arrival,
  type Backend,
  firstOf,
  type GeneratedToken,
  type GenerateRequest,
  type ModelNames,
  sessionsOf,
  type ServedModel,
} from "../inference/index.ts";
import { ShoalError } from "../lib/index.ts";
import type { Key } from "./keys/key.ts";

declare module "fastify" {
  interface FastifyRequest {
    caller: Caller;
  }
}

export class Caller {
  readonly key: Key | undefined;
  /** Whose turn its sessions take: that of its key, else of its address. */
  readonly flow: string;

  constructor(key: Key | undefined, address: string | undefined) {
    this.key = key;
    this.flow =
      key === undefined ? `at ${networkOf(address)}` : `key ${key.name}`;
  }

  /** The backend as this caller sees it: with the models that it may use, whose sessions count as its own. */
  sees(backend: Backend): Backend {
    return new SeenBackend(this, backend);
  }

  /** What its key has left, in the headers of its answer. */
  tell(reply: FastifyReply): void {
    if (this.key !== undefined) reply.headers(this.key.headers());
  }

  mayUse({ cluster, model, manifest }: ModelNames): boolean {
    // What is not known yet may turn out to be one of them.
    if (this.key === undefined || model === undefined) return true;
    return this.key.mayUse([
      cluster,
      model,
      `${cluster}/${model}`,
      ...(manifest === undefined ? [] : [manifest]),
    ]);
  }

  async *generate(
    model: ServedModel,
    request: GenerateRequest,
  ): AsyncGenerator<GeneratedToken, void, undefined> {
    const { key, flow } = this;
    const leave = await key?.enter(request.signal);
    try {
      for await (const token of model.generate({ ...request, flow })) {
        if (token.embedding === undefined) key?.count(1);
        yield token;
      }
    } finally {
      leave?.();
    }
  }
}

const NONE_ALLOWED = "the key may use none of the models that are served here";

class SeenBackend implements Backend {
  readonly #caller: Caller;
  readonly #backend: Backend;

  constructor(caller: Caller, backend: Backend) {
    this.#caller = caller;
    this.#backend = backend;
  }

  each(): readonly Backend[] {
    return this.#allowed().map((one) => new SeenBackend(this.#caller, one));
  }

  names(): ModelNames {
    return (firstOf(this.#allowed()) ?? this.#backend).names();
  }

  model(): ServedModel | undefined {
    const model = firstOf(this.#allowed())?.model();
    if (model === undefined) return undefined;
    const generate = (
      request: GenerateRequest,
    ): AsyncIterable<GeneratedToken> => this.#caller.generate(model, request);
    return { ...model, generate };
  }

  maxSessions(): number {
    return sessionsOf(this.#allowed());
  }

  notReady(): ShoalError | undefined {
    const first = firstOf(this.#allowed());
    if (first !== undefined) return first.notReady();
    return this.#backend.each().length === 0
      ? this.#backend.notReady()
      : new ShoalError("MODEL_UNKNOWN", NONE_ALLOWED, { param: "model" });
  }

  async whenReady<T extends object>(
    find: () => T | ShoalError,
    arrival: Arrival,
  ): Promise<T> {
    return await this.#backend.whenReady(find, arrival);
  }

  #allowed(): readonly Backend[] {
    return this.#backend
      .each()
      .filter((one) => this.#caller.mayUse(one.names()));
  }
}

/** One person with IPv6 has at least 2^64 addresses. */
const IPV6_GROUPS = 4;

/** Of IPv6 the first half, of IPv4 all. */
export function networkOf(address = ""): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, "");
  if (!isIPv6(plain)) return plain;
  const [head = "", tail] = plain.replace(/%.*/, "").split("::");
  const [before, after] = [groupsOf(head), groupsOf(tail)];
  const zeros = Array<string>(8).fill("0");
  const between = zeros.slice(before.length + after.length);
  return [...before, ...between, ...after].slice(0, IPV6_GROUPS).join(":");
}

function groupsOf(part = ""): string[] {
  return part === "" ? [] : part.split(":");
}
