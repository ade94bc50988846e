/** One generation as parts of a reply: tokens in, text read by the model's format out, with a deadline for each token, and everything freed at the end. */
import { TextStream } from "../chat/index.ts";
import type { SamplingOptions } from "../engine/index.ts";
import { ShoalError, withDeadline } from "../lib/index.ts";
import type {
  Arrival,
  GeneratedToken,
  GenerateRequest,
  ServedModel,
  TokenizerPort,
} from "../inference/index.ts";
import type { ReplyPart, TokenLogprobs } from "./api.ts";
import type { Prepared } from "./prompt.ts";

export interface GenerationOptions extends Arrival {
  model: ServedModel;
  prompt: Prepared;
  /** 0: the reply is empty once the prompt is computed. */
  maxTokens: number;
  /** Besides the format's own. */
  stop: readonly string[];
  sampling: SamplingOptions;
  firstTokenTimeoutMs: number;
  tokenTimeoutMs: number;
  onSession?: GenerateRequest["onSession"];
}

/** One part per token. Returning early frees the stages like an abort. */
export async function* generateReply(
  options: GenerationOptions,
): AsyncGenerator<ReplyPart, void, undefined> {
  const { model, prompt, maxTokens, sampling } = options;
  const { requestId, arrivedMs, onWaiting } = options;
  const text = new TextStream({ stop: [...options.stop, ...prompt.stop] });
  const reader = prompt.reader();
  const bytesOf = pieces(model.tokenizer, prompt.preserved);
  const ended = new AbortController();
  const signal = AbortSignal.any([options.signal, ended.signal]);
  const generated = model.generate({
    tokens: prompt.tokens,
    maxTokens: Math.max(1, maxTokens),
    sampling,
    signal,
    requestId,
    arrivedMs,
    onWaiting,
    onSession: options.onSession,
  });
  const iterator = generated[Symbol.asyncIterator]();
  /** It finished and was not abandoned. */
  let isOver = false;
  let hasCalls = false;
  /** Of no part yet. */
  let tokens: number[] = [];
  let untold: TokenLogprobs[] = [];
  try {
    for (let completionTokens = 1; ; completionTokens++) {
      const { token, finish, logprobs } = await next(
        iterator,
        completionTokens === 1
          ? options.firstTokenTimeoutMs
          : options.tokenTimeoutMs,
        signal,
      );
      if (maxTokens === 0) {
        yield { deltas: [], completionTokens: 0, tokens: [], finish: "length" };
        return;
      }
      const bytes = bytesOf(token);
      let said = finish === "stop" ? "" : text.push(bytes);
      if (finish !== undefined) said += text.end();
      if (finish !== "stop") tokens.push(token);
      const { stoppedBy } = text;
      isOver = stoppedBy !== undefined || finish !== undefined;
      const deltas = said === "" ? [] : reader.push(said);
      if (isOver) deltas.push(...reader.end());
      if (logprobs !== undefined && finish !== "stop")
        untold.push({ token, sizeBytes: bytes.length, ...logprobs });
      hasCalls ||= deltas.some(({ kind }) => kind === "call");
      const isTold = deltas.length > 0 || isOver;
      const part = {
        deltas,
        completionTokens,
        tokens: isTold ? tokens : [],
        ...(isTold && untold.length > 0 && { logprobs: untold }),
      };
      if (isTold) {
        tokens = [];
        untold = [];
      }
      if (!isOver) {
        yield part;
        continue;
      }
      const how = stoppedBy === undefined ? (finish ?? "stop") : "stop";
      yield {
        ...part,
        finish: how === "stop" && hasCalls ? "tool_calls" : how,
        ...(stoppedBy !== undefined && { stoppedBy }),
      };
      return;
    }
  } finally {
    ended.abort(
      new ShoalError("ABORTED", "the generation is over", { isOver }),
    );
    // Not awaited: an iterator that hangs would hang this one too.
    iterator.return?.().catch(() => {});
  }
}

/** A token's bytes; of control tokens only those that the reader must see have some. */
function pieces(
  tokenizer: TokenizerPort,
  preserved: readonly string[],
): (token: number) => Uint8Array {
  if (preserved.length === 0) return (token) => tokenizer.piece(token);
  const texts = new Set(preserved);
  return (token) => {
    const plain = tokenizer.piece(token);
    if (plain.length > 0) return plain;
    const special = tokenizer.piece(token, true);
    return texts.has(Buffer.from(special).toString()) ? special : plain;
  };
}

async function next(
  iterator: AsyncIterator<GeneratedToken>,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<GeneratedToken> {
  const result = await withDeadline(
    timeoutMs,
    "the next token",
    () => iterator.next(),
    { signal },
  );
  if (result.done === true) {
    throw new ShoalError("INTERNAL", "a generation ended without its finish");
  }
  return result.value;
}
