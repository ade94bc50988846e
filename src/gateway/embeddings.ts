/**
 * From texts to vectors, whichever API asks: each text is a session of its own that generates nothing. It waits, takes its turn, goes around lost
 * stages and counts for a key as a reply does.
 */
import type { FastifyReply } from "fastify";
import { parseSampling } from "../engine/index.ts";
import type { Arrival, ServedModel } from "../inference/index.ts";
import { ShoalError, withDeadline } from "../lib/index.ts";
import { nameOf, pooled, type Service } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import type { Prompt } from "./prompt.ts";
import { readyModel } from "./serving.ts";

/** Of one request: as many as OpenAI takes. */
export const MAX_INPUTS = 2048;

export interface EmbeddingOrder {
  /** undefined: whichever is served. */
  model: string | undefined;
  prompts: readonly Prompt[];
  /** What the request calls them. */
  field: string;
  /** Throws what is wrong for that model, before anything is computed. */
  check?: (model: ServedModel) => void;
  /** Too long texts are cut; else refused. */
  truncates: boolean;
}

export interface Embedded {
  /** The model's id. */
  model: string;
  /** Of all texts. */
  promptTokens: number;
  /** As the model gives them, not normalized. */
  vectors: readonly Float32Array[];
  /** When the model was there. */
  readyMs: number;
}

const NO_SAMPLING = parseSampling({});

/** Throws API_UNSUPPORTED where the model makes none, and what a reply throws. */
export async function embed(
  order: EmbeddingOrder,
  exchange: Exchange,
  reply: FastifyReply,
  { settings, replies }: Service,
): Promise<Embedded> {
  const { id: requestId, arrivedMs, caller } = exchange;
  // One that fails ends the others.
  const ended = new AbortController();
  const signal = AbortSignal.any([exchange.signal, ended.signal]);
  const arrival = { requestId, arrivedMs, signal };
  const backend = caller.sees(settings.backend);
  const name = nameOf(order, settings);
  try {
    const model = await readyModel(backend, name, arrival);
    const readyMs = settings.clock.now();
    exchange.note({ model: model.id });
    if (!model.facts.embeds) throw noEmbeddings(model);
    order.check?.(model);
    const prompts: Int32Array[] = [];
    for (const prompt of order.prompts)
      prompts.push(await tokensOf(model, prompt, order, signal));
    const promptTokens = prompts.reduce((sum, { length }) => sum + length, 0);
    exchange.note({ promptTokens });
    caller.key?.takePrompt(promptTokens);
    caller.tell(reply);
    const vectors = await pooled(prompts, (tokens, index) => {
      const id = index === 0 ? requestId : `${requestId}-${index}`;
      const one = { ...arrival, requestId: id };
      return withDeadline(
        settings.firstTokenTimeoutMs,
        "the embedding",
        (limited) => vectorOf(model, tokens, { ...one, signal: limited }),
        { signal },
      );
    });
    replies.tally.embedded(promptTokens, settings.clock.now() - readyMs);
    return { model: model.id, promptTokens, vectors, readyMs };
  } finally {
    ended.abort(new ShoalError("ABORTED", "the answer is over"));
  }

  async function tokensOf(
    model: ServedModel,
    prompt: Prompt,
    { field, truncates }: EmbeddingOrder,
    until: AbortSignal,
  ): Promise<Int32Array> {
    const { prompter } = replies;
    if (!truncates)
      return (await prompter.prepare(model, prompt, until, field)).tokens;
    const tokens = await prompter.tokens(model, prompt, until);
    return cut(tokens, model);
  }
}

/** The beginning that fits; an end token that the vocabulary adds stays the last one, which is pooled. */
function cut(tokens: Int32Array, model: ServedModel): Int32Array {
  const most = model.contextLength - 1;
  if (tokens.length <= most) return tokens;
  const kept = tokens.slice(0, most);
  const last = tokens.at(-1) ?? 0;
  if (model.tokenizer.isEndOfGeneration(last)) kept[most - 1] = last;
  return kept;
}

async function vectorOf(
  model: ServedModel,
  tokens: Int32Array,
  arrival: Arrival,
): Promise<Float32Array> {
  const request = { ...arrival, tokens, maxTokens: 1, sampling: NO_SAMPLING };
  for await (const { embedding } of model.generate({
    ...request,
    embeds: true,
  }))
    if (embedding?.length === model.facts.embeddingLength) return embedding;
  throw new ShoalError(
    "STAGE_FAILED",
    `the last stage gave no embedding of ${model.facts.embeddingLength} values`,
  );
}

function noEmbeddings({ id }: ServedModel): ShoalError {
  return new ShoalError(
    "API_UNSUPPORTED",
    `the model ${id} writes text and gives no embeddings: its file names no pooling`,
    { param: "model" },
  );
}
