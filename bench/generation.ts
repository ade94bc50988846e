/** What benches generate, and with which model. */
import { writeRandomModel } from "../test/support/models.ts";

export const PROMPT = Array.from({ length: 16 }, (_, i) => 300 + i);

/** Random weights, about 150 MiB; of another width much more. A node's context is never longer than the model's. */
export async function writeBenchModel(
  path: string,
  embeddingLength = 1024,
  contextLength = 512,
  layers = 8,
): Promise<void> {
  await writeRandomModel(path, {
    layers,
    embeddingLength,
    heads: 16,
    kvHeads: 8,
    feedForward: 4096,
    vocabSize: 4096,
    contextLength,
    type: "Q8_0",
    vocab: "bytes",
  });
}

/**
 * The end of generation: all runs are as long. And tokens of writeRandomModel's vocabulary that are not seen when they come: those without text, and
 * bytes that are a part of a character, which the gateway keeps until it is whole.
 */
export const BANNED: readonly number[] = [
  0,
  1,
  2,
  ...Array.from({ length: 128 }, (_, i) => 3 + 128 + i),
];

/** Of one stage, as `usage.shoal` names it. */
export interface StageTime {
  layers: string;
  compute_ms: number | null;
  wire_ms: number | null;
  queue_ms: number | null;
  direct: boolean | null;
}

export interface TimedReply {
  /** Generated, as the gateway counts them. */
  tokens: number;
  /** When each token came, in ms, as a client of the gateway sees it. */
  arrivals: number[];
  text: string;
  stages: StageTime[];
  predictedMs: number | null;
}

/** One request, greedy, of exactly `tokens` tokens. `onToken` is told how many came. */
export async function timedReply(
  apiUrl: string,
  tokens: number,
  prompt: readonly number[] = PROMPT,
  onToken: (count: number) => void = () => {},
  signal?: AbortSignal,
): Promise<TimedReply> {
  const { data } = (await (await fetch(`${apiUrl}/v1/models`)).json()) as {
    data: { id: string }[];
  };
  const response = await fetch(`${apiUrl}/v1/completions`, {
    method: "POST",
    ...(signal && { signal }),
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: data[0]?.id,
      prompt,
      max_tokens: tokens,
      temperature: 0,
      logit_bias: Object.fromEntries(BANNED.map((token) => [token, -100])),
      stream: true,
      stream_options: { include_usage: true },
    }),
  });
  if (!response.ok) throw new Error(await response.text());
  const reply: TimedReply = {
    tokens: 0,
    arrivals: [],
    text: "",
    stages: [],
    predictedMs: null,
  };
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of response.body ?? []) {
    text += decoder.decode(bytes as Uint8Array, { stream: true });
    const events = text.split("\n\n");
    text = events.pop() ?? "";
    for (const event of events) {
      if (!event.startsWith("data: ")) continue; // a comment: the reply lives
      const json = event.slice("data: ".length);
      if (json === "[DONE]") continue;
      if (json.includes('"error"')) throw new Error(json);
      const { usage, choices } = JSON.parse(json) as {
        usage?: Usage | null;
        choices?: { text?: string }[];
      };
      const piece = choices?.[0]?.text ?? "";
      if (piece !== "") {
        reply.arrivals.push(performance.now());
        onToken(reply.arrivals.length);
      }
      reply.text += piece;
      reply.stages = usage?.shoal?.stages ?? reply.stages;
      reply.tokens = usage?.completion_tokens ?? reply.tokens;
      reply.predictedMs = usage?.shoal?.predicted_token_ms ?? reply.predictedMs;
    }
  }
  return reply;
}

interface Usage {
  completion_tokens: number;
  shoal?: { stages: StageTime[]; predicted_token_ms: number | null };
}

/** From the first token to the last. Throws if some came together: then their times say nothing. */
export function msPerToken({ arrivals, tokens }: TimedReply): number {
  if (arrivals.length !== tokens)
    throw new Error(`${tokens} tokens came in ${arrivals.length} pieces`);
  const [first = 0, last = 0] = [arrivals[0], arrivals.at(-1)];
  return (last - first) / (arrivals.length - 1);
}

/** When each token of one request came, in ms, as a client of the gateway sees it. */
export async function* arrivalsOf(
  apiUrl: string,
  tokens: number,
  prompt: readonly number[] = PROMPT,
): AsyncGenerator<number> {
  yield* (await timedReply(apiUrl, tokens, prompt)).arrivals;
}
