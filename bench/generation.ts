/** What benches generate, and with which model. */
import { writeRandomModel } from "../test/support/models.ts";

export const PROMPT = Array.from({ length: 16 }, (_, i) => 300 + i);

/** Random weights, about 150 MiB. */
export async function writeBenchModel(path: string): Promise<void> {
  await writeRandomModel(path, {
    layers: 8,
    embeddingLength: 1024,
    heads: 16,
    kvHeads: 8,
    feedForward: 4096,
    vocabSize: 4096,
    type: "Q8_0",
    vocab: "bytes",
  });
}

/** When each token of one request came, in ms, as a client of the gateway sees it. */
export async function* arrivalsOf(
  apiUrl: string,
  tokens: number,
  prompt: readonly number[] = PROMPT,
): AsyncGenerator<number> {
  const { data } = (await (await fetch(`${apiUrl}/v1/models`)).json()) as {
    data: { id: string }[];
  };
  const response = await fetch(`${apiUrl}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: data[0]?.id,
      prompt,
      max_tokens: tokens,
      temperature: 0,
      logit_bias: { "2": -100 }, // the end of generation: all runs are as long
      stream: true,
    }),
  });
  if (!response.ok) throw new Error(await response.text());
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of response.body ?? []) {
    text += decoder.decode(bytes as Uint8Array, { stream: true });
    const lines = text.split("\n\n");
    text = lines.pop() ?? "";
    for (const line of lines)
      if (line.includes('"text"')) yield performance.now();
  }
}
