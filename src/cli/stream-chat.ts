/** Streams one chat completion from a gateway: what `shoal chat` and `shoal up` print. */
import { createParser } from "eventsource-parser";
import { z } from "zod";
import { errorOfAnswer, GATEWAY_DEFAULTS } from "../gateway/index.ts";
import { isShoalError, ShoalError } from "../lib/index.ts";

export interface Message {
  role: "system" | "user" | "assistant";
  content: string;
}

export interface ChatRequest {
  messages: readonly Message[];
  /** Of the models that the gateway serves; default: the first. */
  model?: string | undefined;
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
  /** The last chunk's, as the gateway told it. */
  usage?: Record<string, unknown>;
}

/** Of a chat (`delta`) or of a plain completion (`text`). */
const Chunk = z.object({
  choices: z
    .array(
      z.object({
        delta: z
          .object({
            content: z.string().nullish(),
            reasoning_content: z.string().nullish(),
          })
          .default({}),
        text: z.string().default(""),
        finish_reason: z.string().nullish(),
      }),
    )
    .default([]),
  usage: z
    .looseObject({ prompt_tokens: z.number(), completion_tokens: z.number() })
    .nullish(),
});
const Failure = z.object({
  error: z.object({ message: z.string(), code: z.string().nullish() }),
});

export interface ChatListener {
  /** Each piece as it comes. */
  onText: (text: string) => void;
  /** Each piece of what the model thinks before it replies. */
  onReasoning?: (text: string) => void;
  /** What the reply waits for, with each change; undefined: it goes on. */
  onWaiting: (what: string | undefined) => void;
}

interface CallOptions {
  signal: AbortSignal;
  apiKey?: string | undefined;
}

/** While a gateway serves no model yet: a request with any name waits there until it does. */
const ANY_MODEL = "any";

/** Throws what the gateway answered, or DIAL_FAILED where none answers. */
export async function streamChat(
  apiUrl: string,
  request: ChatRequest,
  listener: ChatListener,
  options: CallOptions,
): Promise<ChatResult> {
  const asking = { apiUrl, request, listener, options };
  const startedMs = performance.now();
  const model = request.model ?? (await modelOf(apiUrl, options));
  try {
    return await chat({ ...asking, startedMs }, model ?? ANY_MODEL);
  } catch (error) {
    if (model !== undefined || !isShoalError(error, "MODEL_UNKNOWN"))
      throw error;
  }
  const now = await modelOf(apiUrl, options);
  if (now === undefined)
    throw new ShoalError("SWARM_NOT_READY", "the gateway serves no model");
  return await chat({ ...asking, startedMs }, now);
}

interface Asking {
  apiUrl: string;
  request: ChatRequest;
  listener: ChatListener;
  options: CallOptions;
  startedMs: number;
}

/** A chat; of a model without a chat template, which can only continue a text, the prompt's continuation. */
async function chat(asking: Asking, model: string): Promise<ChatResult> {
  const { messages, maxTokens, temperature, seed } = asking.request;
  const rest = { model, max_tokens: maxTokens, temperature, seed };
  try {
    return await streamed(asking, "chat/completions", { messages, ...rest });
  } catch (error) {
    if (!isShoalError(error, "TEMPLATE_MISSING")) throw error;
    const prompt = messages
      .filter(({ role }) => role !== "system")
      .map(({ content }) => content)
      .join("\n");
    return await streamed(asking, "completions", { prompt, ...rest });
  }
}

async function streamed(
  { apiUrl, listener, options, startedMs }: Asking,
  path: string,
  body: { model: string; [field: string]: unknown },
): Promise<ChatResult> {
  const response = await call(`${apiUrl}/v1/${path}`, options, {
    ...body,
    stream: true,
    stream_options: { include_usage: true, include_progress: true },
  });
  const result: ChatResult = {
    model: body.model,
    tokens: 0,
    promptTokens: 0,
    finish: "",
    firstTokenMs: 0,
    totalMs: 0,
    characters: 0,
  };
  const { onText, onReasoning, onWaiting } = listener;
  for await (const event of eventsOf(response, options.signal)) {
    if ("comment" in event) {
      // One without text keeps the stream alive, and says that it does not wait.
      onWaiting(/^waiting for (.+)$/.exec(event.comment)?.[1]);
      continue;
    }
    const { data } = event;
    if (data === "[DONE]") break;
    const { text, reasoning } = add(result, data);
    if (text === "" && reasoning === "") continue;
    if (result.firstTokenMs === 0)
      result.firstTokenMs = performance.now() - startedMs;
    result.characters += text.length;
    if (reasoning !== "") onReasoning?.(reasoning);
    if (text !== "") onText(text);
  }
  result.totalMs = performance.now() - startedMs;
  if (result.finish === "")
    throw new ShoalError("STREAM_CLOSED", "the gateway ended the reply early");
  return result;
}

/** Adds an event to the result, all but its text, which it returns. */
function add(
  result: ChatResult,
  data: string,
): { text: string; reasoning: string } {
  const json: unknown = JSON.parse(data);
  const failure = Failure.safeParse(json);
  if (failure.success) throw apiError(failure.data);
  const { choices, usage } = Chunk.parse(json);
  result.finish = choices[0]?.finish_reason ?? result.finish;
  if (usage !== null && usage !== undefined) {
    result.tokens = usage.completion_tokens;
    result.promptTokens = usage.prompt_tokens;
    result.usage = usage;
  }
  const [choice] = choices;
  return {
    text: choice?.delta.content ?? choice?.text ?? "",
    reasoning: choice?.delta.reasoning_content ?? "",
  };
}

/** What the gateway sends, in order. Throws STREAM_CLOSED where the connection breaks. */
async function* eventsOf(
  response: Response,
  signal: AbortSignal,
): AsyncGenerator<{ data: string } | { comment: string }> {
  let come: ({ data: string } | { comment: string })[] = [];
  const parser = createParser({
    onEvent: ({ data }) => come.push({ data }),
    onComment: (comment) => come.push({ comment }),
  });
  const text = response.body?.pipeThrough(new TextDecoderStream());
  try {
    for await (const piece of text ?? []) {
      parser.feed(piece);
      yield* come;
      come = [];
    }
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

/** The first that the gateway serves; undefined while there is none. */
export async function modelOf(
  apiUrl: string,
  options: CallOptions,
): Promise<string | undefined> {
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
  return models.data.data[0]?.id;
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
