/** Streams one chat completion from a gateway: what `shoal chat` and `shoal up` print. */
import { EventSourceParserStream } from "eventsource-parser/stream";
import { z } from "zod";
import { errorOfAnswer, GATEWAY_DEFAULTS } from "../gateway/index.ts";
import { isShoalError, ShoalError } from "../lib/index.ts";

export interface ChatRequest {
  prompt: string;
  system?: string | undefined;
  maxTokens?: number | undefined;
  temperature?: number | undefined;
  seed?: number | undefined;
}

export interface ChatResult {
  model: string;
  /** Tokens generated, by the gateway's count. */
  tokens: number;
  promptTokens: number;
  finish: string;
  /** From the request to the first text, and to the end, ms. */
  firstTokenMs: number;
  totalMs: number;
  /** Characters that came. */
  characters: number;
}

/** Of a chat (`delta`) or of a plain completion (`text`). */
const Chunk = z.object({
  choices: z
    .array(
      z.object({
        delta: z.object({ content: z.string().nullish() }).default({}),
        text: z.string().default(""),
        finish_reason: z.string().nullish(),
      }),
    )
    .default([]),
  usage: z
    .object({ prompt_tokens: z.number(), completion_tokens: z.number() })
    .nullish(),
});
const Failure = z.object({
  error: z.object({ message: z.string(), code: z.string().nullish() }),
});

/** Calls `onText` with each piece as it comes. Throws what the gateway answered, or DIAL_FAILED where none answers. */
export async function streamChat(
  apiUrl: string,
  request: ChatRequest,
  onText: (text: string) => void,
  options: { signal: AbortSignal; apiKey?: string | undefined },
): Promise<ChatResult> {
  const startedMs = performance.now();
  const model = await servedModel(apiUrl, options);
  const response = await ask(apiUrl, model, request, options);
  const result: ChatResult = {
    model,
    tokens: 0,
    promptTokens: 0,
    finish: "",
    firstTokenMs: 0,
    totalMs: 0,
    characters: 0,
  };
  for await (const data of eventsOf(response, options.signal)) {
    if (data === "[DONE]") break;
    const json: unknown = JSON.parse(data);
    const failure = Failure.safeParse(json);
    if (failure.success) throw apiError(failure.data);
    const { choices, usage } = Chunk.parse(json);
    const text = choices[0]?.delta.content ?? choices[0]?.text ?? "";
    if (text !== "") {
      if (result.characters === 0)
        result.firstTokenMs = performance.now() - startedMs;
      result.characters += text.length;
      onText(text);
    }
    result.finish = choices[0]?.finish_reason ?? result.finish;
    if (usage !== null && usage !== undefined) {
      result.tokens = usage.completion_tokens;
      result.promptTokens = usage.prompt_tokens;
    }
  }
  result.totalMs = performance.now() - startedMs;
  if (result.finish === "")
    throw new ShoalError("STREAM_CLOSED", "the gateway ended the reply early");
  return result;
}

/** What the gateway sends, event by event. Throws STREAM_CLOSED where the connection breaks. */
async function* eventsOf(
  response: Response,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const events = response.body
    ?.pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream());
  try {
    for await (const { data } of events ?? []) yield data;
  } catch (error) {
    signal.throwIfAborted();
    throw new ShoalError(
      "STREAM_CLOSED",
      "the connection to the gateway broke during the reply",
      {},
      error,
    );
  }
}

/** Asks for a chat; from a model without a chat template, which can only continue a text, for the prompt's continuation. */
async function ask(
  apiUrl: string,
  model: string,
  request: ChatRequest,
  options: CallOptions,
): Promise<Response> {
  const { prompt, system, maxTokens, temperature, seed } = request;
  const messages = [
    ...(system === undefined ? [] : [{ role: "system", content: system }]),
    { role: "user", content: prompt },
  ];
  const rest = {
    model,
    max_tokens: maxTokens,
    temperature,
    seed,
    stream: true,
    stream_options: { include_usage: true },
  };
  try {
    const url = `${apiUrl}/v1/chat/completions`;
    return await call(url, options, { messages, ...rest });
  } catch (error) {
    if (!isShoalError(error, "TEMPLATE_MISSING")) throw error;
    return await call(`${apiUrl}/v1/completions`, options, { prompt, ...rest });
  }
}

type CallOptions = Parameters<typeof streamChat>[3];

async function servedModel(
  apiUrl: string,
  options: CallOptions,
): Promise<string> {
  const response = await send(`${apiUrl}/v1/models`, options);
  const answer = await jsonOf(response);
  const models = z
    .object({ data: z.array(z.object({ id: z.string() })) })
    .safeParse(answer);
  if (response.status === 404 || (response.ok && !models.success))
    throw new ShoalError(
      "NOT_FOUND",
      `${apiUrl} is not a Shoal gateway; the API is usually on port ${GATEWAY_DEFAULTS.port}`,
    );
  if (!models.success) throw refusal(response, answer);
  const [first] = models.data.data;
  if (first !== undefined) return first.id;
  const health = z
    .object({ reason: z.string() })
    .safeParse(await jsonOf(await send(`${apiUrl}/health`, options)));
  throw new ShoalError(
    "SWARM_NOT_READY",
    health.success ? health.data.reason : "the gateway serves no model yet",
  );
}

/** Throws what the gateway answered where that is no success. */
async function call(
  url: string,
  options: CallOptions,
  body: unknown,
): Promise<Response> {
  const response = await send(url, options, body);
  if (response.ok) return response;
  throw refusal(response, await jsonOf(response));
}

async function send(
  url: string,
  { signal, apiKey }: CallOptions,
  body?: unknown,
): Promise<Response> {
  const headers: Record<string, string> = {
    "content-type": "application/json",
  };
  if (apiKey !== undefined) headers.authorization = `Bearer ${apiKey}`;
  try {
    return await fetch(url, {
      signal,
      headers,
      ...(body !== undefined && { method: "POST", body: JSON.stringify(body) }),
    });
  } catch (error) {
    signal.throwIfAborted();
    throw new ShoalError(
      "DIAL_FAILED",
      `no gateway answers at ${new URL(url).origin}: is \`shoal up\` or \`shoal serve\` running?`,
      {},
      error,
    );
  }
}

/** Undefined where it is not JSON. */
async function jsonOf(response: Response): Promise<unknown> {
  return await response.json().catch(() => undefined);
}

function refusal(response: Response, answer: unknown): ShoalError {
  const failure = Failure.safeParse(answer);
  return failure.success
    ? apiError(failure.data)
    : new ShoalError("INTERNAL", `the gateway answered ${response.status}`);
}

function apiError({ error }: z.output<typeof Failure>): ShoalError {
  return errorOfAnswer(error.code ?? null, error.message);
}
