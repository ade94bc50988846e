/** The part of a gateway's API that the page needs: its models, and a streamed reply to a conversation. */
import type { Times } from "../../src/gateway/timing.ts";

/** A longer line does not come from Shoal. */
const MAX_LINE_CHARS = 1_000_000;
const EARLY = "the reply ended early";

export class GatewayError extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** What a stream brings, in order. */
export type ReplyPart =
  | { kind: "content"; text: string }
  | { kind: "reasoning"; text: string }
  /** A piece of the call with this index: what is new of its name and of its arguments. */
  | { kind: "call"; index: number; name: string; text: string }
  /** Each change of what it waits for; undefined: it goes on. */
  | { kind: "waiting"; what: string | undefined }
  | { kind: "finish"; reason: string }
  | { kind: "usage"; model: string; usage: Usage };

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  prompt_tokens_details?: { cached_tokens?: number };
  /** Of a Shoal gateway. */
  shoal?: Partial<Times>;
}

interface Chunk {
  model?: string;
  choices?: {
    delta?: {
      content?: string | null;
      reasoning_content?: string | null;
      tool_calls?: {
        index?: number;
        function?: { name?: string | null; arguments?: string | null };
      }[];
    };
    text?: string;
    finish_reason?: string | null;
  }[];
  usage?: Usage | null;
  error?: { message?: string; code?: string };
}

export interface Message {
  role: "system" | "user" | "assistant";
  content: string;
}

export interface Asking {
  /** The gateway. */
  api: string;
  key: string;
  /** Of the models that it serves; "" is the first. */
  model: string;
  messages: readonly Message[];
  temperature: number | undefined;
  maxTokens: number | undefined;
  signal: AbortSignal;
}

/** How a page reaches a gateway on loopback: by the page's own host name. */
export function gatewayUrl(api: string): string {
  const url = new URL(api);
  if (/^(localhost|127\..*|0\.0\.0\.0|\[::1?\])$/.test(url.hostname))
    url.hostname = location.hostname;
  return url.origin;
}

/** While a gateway serves no model yet: a request with any name waits there until it does. */
const ANY_MODEL = "any";

/** Throws GatewayError. */
export async function* askGateway(
  asking: Asking,
): AsyncGenerator<ReplyPart, void, undefined> {
  const model = asking.model || (await servedModels(asking))[0];
  try {
    yield* reply(asking, model ?? ANY_MODEL);
    return;
  } catch (error) {
    if (model !== undefined || !isError(error, "model_not_found")) throw error;
  }
  const [now] = await servedModels(asking);
  if (now === undefined)
    throw new GatewayError(503, "", "the gateway serves no model");
  yield* reply(asking, now);
}

function isError(error: unknown, code: string): boolean {
  return error instanceof GatewayError && error.code === code;
}

function headersOf({ key }: Pick<Asking, "key">): Record<string, string> {
  return {
    "content-type": "application/json",
    ...(key !== "" && { authorization: `Bearer ${key}` }),
  };
}

/** Their names. Throws GatewayError. */
export async function servedModels(
  asking: Pick<Asking, "api" | "key" | "signal">,
): Promise<string[]> {
  const { api, signal } = asking;
  const headers = headersOf(asking);
  const models = await call(`${api}/v1/models`, { headers, signal });
  const { data } = (await models.json()) as { data?: { id: string }[] };
  return (data ?? []).map(({ id }) => id);
}

async function* reply(
  asking: Asking,
  model: string,
): AsyncGenerator<ReplyPart, void, undefined> {
  const { api, messages, signal, temperature, maxTokens } = asking;
  const body = {
    model,
    temperature,
    max_tokens: maxTokens,
    stream: true,
    stream_options: { include_usage: true, include_progress: true },
  };
  const post = async (path: string, more: object): Promise<Response> =>
    await call(`${api}${path}`, {
      method: "POST",
      headers: headersOf(asking),
      signal,
      body: JSON.stringify({ ...body, ...more }),
    });
  try {
    yield* parts(await post("/v1/chat/completions", { messages }));
  } catch (error) {
    // A model without a chat template continues the text.
    if (!isError(error, "template_missing")) throw error;
    const prompt = messages.map(({ content }) => content).join("\n");
    yield* parts(await post("/v1/completions", { prompt }));
  }
}

async function call(url: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    if (init.signal?.aborted === true) throw error;
    throw new GatewayError(0, "", "the gateway cannot be reached");
  }
  if (response.ok) return response;
  const text = await response.text();
  let told: Chunk["error"];
  try {
    told = (JSON.parse(text) as Chunk).error;
  } catch {
    // not from Shoal: its status is all there is
  }
  throw new GatewayError(
    response.status,
    told?.code ?? "",
    told?.message ?? `the gateway answers ${response.status}`,
  );
}

async function* parts(
  response: Response,
): AsyncGenerator<ReplyPart, void, undefined> {
  let isFinished = false;
  for await (const line of lines(response)) {
    if (line.startsWith(":")) {
      const what = /^: waiting for (.+)$/.exec(line)?.[1];
      yield { kind: "waiting", what };
    }
    if (!line.startsWith("data: ") || line === "data: [DONE]") continue;
    for (const part of partsOf(JSON.parse(line.slice(6)) as Chunk)) {
      yield part;
      isFinished ||= part.kind === "finish";
    }
  }
  if (!isFinished) throw new GatewayError(0, "", EARLY);
}

function* partsOf(chunk: Chunk): Generator<ReplyPart, void, undefined> {
  const { error, choices, usage, model = "" } = chunk;
  if (error !== undefined)
    throw new GatewayError(0, error.code ?? "", error.message ?? EARLY);
  const [choice] = choices ?? [];
  const { delta } = choice ?? {};
  const reasoning = delta?.reasoning_content ?? "";
  if (reasoning !== "") yield { kind: "reasoning", text: reasoning };
  const content = delta?.content ?? choice?.text ?? "";
  if (content !== "") yield { kind: "content", text: content };
  for (const { index = 0, function: of } of delta?.tool_calls ?? [])
    yield {
      kind: "call",
      index,
      name: of?.name ?? "",
      text: of?.arguments ?? "",
    };
  const reason = choice?.finish_reason;
  if (typeof reason === "string") yield { kind: "finish", reason };
  if (usage !== null && usage !== undefined)
    yield { kind: "usage", model, usage };
}

async function* lines(
  response: Response,
): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder();
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += decoder.decode(value, { stream: true });
      if (rest.length > MAX_LINE_CHARS)
        throw new GatewayError(0, "", "the reply is not a stream");
      const whole = rest.split("\n");
      rest = whole.pop() ?? "";
      yield* whole;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
