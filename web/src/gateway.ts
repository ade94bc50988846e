/** The part of a gateway's API that the page needs: one streamed reply. */

/** Room for a story. */
const MAX_TOKENS = 256;
/** A longer line does not come from Shoal. */
const MAX_LINE_CHARS = 1_000_000;

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
  choices?: { delta?: { content?: string | null }; text?: string }[];
  error?: { message?: string; code?: string };
}

/** How a page reaches a gateway on loopback: by the page's own host name. */
export function gatewayUrl(api: string): string {
  const url = new URL(api);
  if (/^(localhost|127\..*|0\.0\.0\.0|\[::1?\])$/.test(url.hostname))
    url.hostname = location.hostname;
  return url.origin;
}

/** The pieces of text as they arrive. */
export async function* askGateway(
  api: string,
  prompt: string,
  key: string,
  signal: AbortSignal,
): AsyncGenerator<string, void, undefined> {
  const headers = {
    "content-type": "application/json",
    ...(key !== "" && { authorization: `Bearer ${key}` }),
  };
  const models = await call(`${api}/v1/models`, { headers, signal });
  const { data } = (await models.json()) as { data?: { id: string }[] };
  const model = data?.[0]?.id;
  if (model === undefined)
    throw new GatewayError(503, "", "the gateway serves no model yet");
  const body = { model, max_tokens: MAX_TOKENS, stream: true };
  const post = (path: string, more: object): Promise<Response> =>
    call(`${api}${path}`, {
      method: "POST",
      headers,
      signal,
      body: JSON.stringify({ ...body, ...more }),
    });
  let response: Response;
  try {
    const messages = [{ role: "user", content: prompt }];
    response = await post("/v1/chat/completions", { messages });
  } catch (error) {
    // A model without a chat template continues the text.
    if (!(error instanceof GatewayError) || error.code !== "template_missing")
      throw error;
    response = await post("/v1/completions", { prompt });
  }
  yield* pieces(response);
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
      const lines = rest.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (!line.startsWith("data: ") || line === "data: [DONE]") continue;
        const chunk = JSON.parse(line.slice(6)) as Chunk;
        if (chunk.error !== undefined)
          throw new GatewayError(
            0,
            chunk.error.code ?? "",
            chunk.error.message ?? "the reply ended early",
          );
        const [choice] = chunk.choices ?? [];
        const text = choice?.delta?.content ?? choice?.text ?? "";
        if (text !== "") yield text;
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
