/** One generation as text: tokens in, text out, with a deadline for each, and everything freed at the end. */
import { TextStream } from "../chat/index.ts";
import type { SamplingOptions } from "../engine/index.ts";
import { ShoalError, withDeadline } from "../lib/index.ts";
import type {
  Arrival,
  GeneratedToken,
  GenerateRequest,
  ServedModel,
} from "../inference/index.ts";

export interface GenerationOptions extends Arrival {
  model: ServedModel;
  tokens: Int32Array;
  maxTokens: number;
  stop: readonly string[];
  sampling: SamplingOptions;
  firstTokenTimeoutMs: number;
  tokenTimeoutMs: number;
  onSession?: GenerateRequest["onSession"];
}

export interface TextPart {
  /** May be "": a token need not finish a character. */
  text: string;
  /** Tokens generated so far, including the end token. */
  completionTokens: number;
  /** Set on the last part. */
  finish?: "stop" | "length";
}

/** One part per token. Returning early frees the stages like an abort. */
export async function* generateText(
  options: GenerationOptions,
): AsyncGenerator<TextPart, void, undefined> {
  const { model, tokens, maxTokens, sampling } = options;
  const { requestId, arrivedMs, onWaiting } = options;
  const text = new TextStream({ stop: options.stop });
  const ended = new AbortController();
  const signal = AbortSignal.any([options.signal, ended.signal]);
  const generated = model.generate({
    tokens,
    maxTokens,
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
  try {
    for (let completionTokens = 1; ; completionTokens++) {
      const { token, finish } = await next(
        iterator,
        completionTokens === 1
          ? options.firstTokenTimeoutMs
          : options.tokenTimeoutMs,
        signal,
      );
      let part =
        finish === "stop" ? "" : text.push(model.tokenizer.piece(token));
      if (finish !== undefined) part += text.end();
      isOver = text.stoppedBy !== undefined || finish !== undefined;
      if (text.stoppedBy !== undefined) {
        yield { text: part, completionTokens, finish: "stop" };
        return;
      }
      if (finish !== undefined) {
        yield { text: part, completionTokens, finish };
        return;
      }
      yield { text: part, completionTokens };
    }
  } finally {
    ended.abort(
      new ShoalError("ABORTED", "the generation is over", { isOver }),
    );
    // Not awaited: an iterator that hangs would hang this one too.
    iterator.return?.().catch(() => {});
  }
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
