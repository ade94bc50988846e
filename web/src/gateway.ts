/** The part of a gateway's API that the page needs: one streamed reply. */

/** Room for a story. */
const MAX_TOKENS = 256;
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

interface Chunk {
  choices?: {
    delta?: { content?: string | null };
    text?: string;
    finish_reason?: string | null;
  }[];
  error?: { message?: string; code?: string };
}

/** How a page reaches a gateway on loopback: by the page's own host name. */
export function gatewayUrl(api: string): string {
  const url = new URL(api);
  if (/^(localhost|127\..*|0\.0\.0\.0|\[::1?\])$/.test(url.hostname))
    url.hostname = location.hostname;
  return url.origin;
}

export interface Asking {
  /** The gateway. */
  api: string;
  prompt: string;
  key: string;
  signal: AbortSignal;
  /** Told what the reply waits for, with each change; undefined: it goes on. */
  onWaiting: (what: string | undefined) => void;
}

/** While a gateway serves no model yet: a request with any name waits there until it does. */
const ANY_MODEL = "any";

/** The pieces of text as they arrive. */
export async function* askGateway(
  asking: Asking,
): AsyncGenerator<string, void, undefined> {
  const model = await servedModel(asking);
  try {
    yield* reply(asking, model ?? ANY_MODEL);
    return;
  } catch (error) {
    if (model !== undefined || !isError(error, "model_not_found")) throw error;
  }
  const now = await servedModel(asking);
  if (now === undefined)
    throw new GatewayError(503, "", "the gateway serves no model");
  yield* reply(asking, now);
}

function isError(error: unknown, code: string): boolean {
  return error instanceof GatewayError && error.code === code;
}

function headersOf({ key }: Asking): Record<string, string> {
  return {
    "content-type": "application/json",
    ...(key !== "" && { authorization: `Bearer ${key}` }),
  };
}

async function servedModel(asking: Asking): Promise<string | undefined> {
  const { api, signal } = asking;
  const headers = headersOf(asking);
  const models = await call(`${api}/v1/models`, { headers, signal });
  const { data } = (await models.json()) as { data?: { id: string }[] };
  return data?.[0]?.id;
}

async function* reply(
  asking: Asking,
  model: string,
): AsyncGenerator<string, void, undefined> {
  const { api, prompt, signal, onWaiting } = asking;
  const stream_options = { include_progress: true };
  const body = { model, max_tokens: MAX_TOKENS, stream: true, stream_options };
  const post = async (path: string, more: object): Promise<Response> =>
    await call(`${api}${path}`, {
      method: "POST",
      headers: headersOf(asking),
      signal,
      body: JSON.stringify({ ...body, ...more }),
    });
  try {
    const messages = [{ role: "user", content: prompt }];
    yield* pieces(await post("/v1/chat/completions", { messages }), onWaiting);
  } catch (error) {
    // A model without a chat template continues the text.
    if (!isError(error, "template_missing")) throw error;
    yield* pieces(await post("/v1/completions", { prompt }), onWaiting);
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

async function* pieces(
  response: Response,
  onWaiting: Asking["onWaiting"],
): AsyncGenerator<string, void, undefined> {
  let isFinished = false;
  for await (const line of lines(response)) {
    if (line.startsWith(":")) onWaiting(/^: waiting for (.+)$/.exec(line)?.[1]);
    if (!line.startsWith("data: ") || line === "data: [DONE]") continue;
    const chunk = JSON.parse(line.slice(6)) as Chunk;
    if (chunk.error !== undefined)
      throw new GatewayError(
        0,
        chunk.error.code ?? "",
        chunk.error.message ?? EARLY,
      );
    const [choice] = chunk.choices ?? [];
    const text = choice?.delta?.content ?? choice?.text ?? "";
    if (text !== "") yield text;
    isFinished ||= typeof choice?.finish_reason === "string";
  }
  if (!isFinished) throw new GatewayError(0, "", EARLY);
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
