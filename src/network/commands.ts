/**
 * Commands: JSON there, JSON back, an optional binary attachment after the answer. Protocol /shoal/command/1.0.0.
 *
 *     request   {v: 1, id, command, params}
 *     answer    u32 little-endian length of the JSON, the JSON, the attachment
 *               {v: 1, id, ok: true, result}  or  {v: 1, id, ok: false, error: {code, message, details}}
 *
 *     commands.handle("LIST_FILES", z.object({ prefix: z.string().max(200) }), async ({ prefix }, { peer }) => …);
 *     const files = await commands.call(peer, "LIST_FILES", { prefix: "" }, z.array(File));
 */
import { randomUUID } from "node:crypto";
import { z } from "zod";
import { ShoalError, systemClock, type Clock } from "../lib/index.ts";
import type { PeerTarget } from "./address.ts";
import { DEFAULTS } from "./defaults.ts";
import type { WaitOptions } from "./connections.ts";
import type { Host, RequestContext, RequestLimits } from "./host.ts";
import { PeerQuota } from "./peer-quota.ts";
import { handleRequests, request } from "./request.ts";

export const COMMAND_PROTOCOL = "/shoal/command/1.0.0";
const VERSION = 1;
const LENGTH_BYTES = 4;

const Request = z.object({
  v: z.literal(VERSION),
  id: z.string().min(1).max(64),
  command: z.string().min(1).max(64),
  params: z.unknown(),
});

const Answer = z.discriminatedUnion("ok", [
  z.object({
    v: z.literal(VERSION),
    id: z.string(),
    ok: z.literal(true),
    result: z.unknown(),
  }),
  z.object({
    v: z.literal(VERSION),
    id: z.string(),
    ok: z.literal(false),
    error: z.unknown(),
  }),
]);

/** A result with bytes beside it. */
export class Attached<R> {
  readonly result: R;
  readonly attachment: Uint8Array;

  constructor(result: R, attachment: Uint8Array) {
    this.result = result;
    this.attachment = attachment;
  }
}

/** Returns the result, plain JSON data, or an `Attached`. A thrown ShoalError travels with its code. */
export type CommandHandler<P> = (params: P, context: RequestContext) => unknown;

export interface CommandsOptions extends RequestLimits {
  /** Commands that a peer may send at once, and per second in the long run. */
  burst?: number | undefined;
  perSecond?: number | undefined;
  clock?: Pick<Clock, "now"> | undefined;
}

interface Registered {
  schema: z.ZodType;
  handler: CommandHandler<unknown>;
}

export class Commands {
  readonly #host: Host;
  readonly #limits: CommandsOptions;
  readonly #rate: PeerQuota;
  readonly #commands = new Map<string, Registered>();

  /** Answers a command from now on. Register before the host starts. */
  constructor(host: Host, options: CommandsOptions = {}) {
    const {
      burst = DEFAULTS.commandBurst,
      perSecond = DEFAULTS.commandsPerSecond,
      clock = systemClock,
    } = options;
    this.#host = host;
    this.#limits = options;
    this.#rate = new PeerQuota(burst, perSecond, clock);
    handleRequests(
      host,
      COMMAND_PROTOCOL,
      (payload, context) => this.#answer(payload, context),
      options,
    );
  }

  handle<S extends z.ZodType>(
    name: string,
    params: S,
    handler: CommandHandler<z.output<S>>,
  ): void {
    if (this.#commands.has(name))
      throw new ShoalError("INTERNAL", `${name} has a handler already`);
    this.#commands.set(name, {
      schema: params,
      handler: handler as CommandHandler<unknown>,
    });
  }

  /** The names of the registered commands. */
  names(): string[] {
    return [...this.#commands.keys()].sort();
  }

  /** The validated result. Rejects with the peer's code, COMMAND_MALFORMED for an answer of another shape, or DEADLINE … */
  async call<S extends z.ZodType>(
    target: PeerTarget | string,
    name: string,
    params: unknown,
    result: S,
    options: WaitOptions = {},
  ): Promise<z.output<S>> {
    return (await this.callAttached(target, name, params, result, options))
      .result;
  }

  /** The same, with the bytes after the answer (empty if there are none). */
  async callAttached<S extends z.ZodType>(
    target: PeerTarget | string,
    name: string,
    params: unknown,
    result: S,
    options: WaitOptions = {},
  ): Promise<{ result: z.output<S>; attachment: Uint8Array }> {
    const id = randomUUID();
    const payload = Buffer.from(
      JSON.stringify({ v: VERSION, id, command: name, params }),
    );
    const { maxRequestBytes, maxReplyBytes } = this.#limits;
    const reply = await request(this.#host, target, COMMAND_PROTOCOL, payload, {
      ...options,
      maxRequestBytes,
      maxReplyBytes,
    });
    const { answer, attachment } = decodeAnswer(reply, name);
    // An error may arrive before the id was read.
    if (!answer.ok) throw ShoalError.fromObject(answer.error);
    if (answer.id !== id)
      throw malformed(name, "the answer belongs to another command");
    const parsed = result.safeParse(answer.result);
    if (!parsed.success)
      throw malformed(name, `the answer is ${firstIssue(parsed.error)}`);
    return { result: parsed.data, attachment };
  }

  async #answer(
    payload: Uint8Array,
    context: RequestContext,
  ): Promise<Uint8Array[]> {
    let id = "";
    try {
      if (!this.#rate.take(context.peer)) {
        throw new ShoalError("RATE_LIMITED", "too many commands, slow down", {
          peer: context.peer,
        });
      }
      const asked = parseRequest(payload);
      id = asked.id;
      return encodeAnswer(id, await this.#run(asked, context));
    } catch (error) {
      const answer = {
        v: VERSION,
        id,
        ok: false,
        error: ShoalError.from(error).toObject(),
      };
      return encodeParts(answer, undefined);
    }
  }

  async #run(
    { command, params }: z.output<typeof Request>,
    context: RequestContext,
  ): Promise<unknown> {
    const registered = this.#commands.get(command);
    if (registered === undefined) {
      throw new ShoalError(
        "COMMAND_UNKNOWN",
        `unknown command ${JSON.stringify(command)}`,
        { command },
      );
    }
    const parsed = registered.schema.safeParse(params);
    if (!parsed.success)
      throw malformed(command, `params are ${firstIssue(parsed.error)}`);
    return await registered.handler(parsed.data, context);
  }
}

function parseRequest(payload: Uint8Array): z.output<typeof Request> {
  let json: unknown;
  try {
    json = JSON.parse(
      new TextDecoder("utf-8", { fatal: true }).decode(payload),
    );
  } catch (error) {
    throw new ShoalError(
      "COMMAND_MALFORMED",
      "the command is not JSON",
      {},
      error,
    );
  }
  const parsed = Request.safeParse(json);
  if (!parsed.success)
    throw malformed("the command", `it is ${firstIssue(parsed.error)}`);
  return parsed.data;
}

function encodeAnswer(id: string, value: unknown): Uint8Array[] {
  const attached = value instanceof Attached ? value : undefined;
  const result = attached === undefined ? value : attached.result;
  return encodeParts(
    { v: VERSION, id, ok: true, result: result ?? null },
    attached?.attachment,
  );
}

function encodeParts(
  answer: object,
  attachment: Uint8Array | undefined,
): Uint8Array[] {
  const json = Buffer.from(JSON.stringify(answer));
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(json.byteLength);
  return attachment === undefined ? [length, json] : [length, json, attachment];
}

function decodeAnswer(
  reply: Uint8Array,
  name: string,
): { answer: z.output<typeof Answer>; attachment: Uint8Array } {
  const view = new DataView(reply.buffer, reply.byteOffset, reply.byteLength);
  const jsonBytes =
    reply.byteLength < LENGTH_BYTES ? Infinity : view.getUint32(0, true);
  const end = LENGTH_BYTES + jsonBytes;
  if (end > reply.byteLength) throw malformed(name, "the answer is truncated");
  let json: unknown;
  try {
    json = JSON.parse(
      new TextDecoder("utf-8", { fatal: true }).decode(
        reply.subarray(LENGTH_BYTES, end),
      ),
    );
  } catch {
    throw malformed(name, "the answer is not JSON");
  }
  const parsed = Answer.safeParse(json);
  if (!parsed.success)
    throw malformed(name, `the answer is ${firstIssue(parsed.error)}`);
  return { answer: parsed.data, attachment: reply.subarray(end) };
}

function malformed(name: string, reason: string): ShoalError {
  return new ShoalError("COMMAND_MALFORMED", `${name}: ${reason}`, {
    command: name,
  });
}

function firstIssue(error: z.ZodError): string {
  const [issue] = error.issues;
  const path = issue?.path.map(String).join(".") ?? "";
  return `malformed: ${path === "" ? "" : `${path}: `}${issue?.message ?? "?"}`.slice(
    0,
    300,
  );
}
