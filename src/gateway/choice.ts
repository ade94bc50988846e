/** A whole reply from its parts. */
import { ShoalError } from "../lib/index.ts";
import type {
  Choice,
  ReplyBlock,
  ReplyPart,
  TokenLogprobs,
  WholeCall,
} from "./api.ts";

/** Of a part's tokens those that its content was made of: the last ones, since marks of what came before it are in front. */
export function contentLogprobs({
  deltas,
  logprobs = [],
}: ReplyPart): readonly TokenLogprobs[] {
  let missingBytes = deltas.reduce(
    (sum, delta) =>
      delta.kind === "content" ? sum + Buffer.byteLength(delta.text) : sum,
    0,
  );
  let start = logprobs.length;
  for (; start > 0 && missingBytes > 0; start--)
    missingBytes -= logprobs[start - 1]?.sizeBytes ?? 0;
  return logprobs.slice(start);
}

export class Gathered {
  #blocks: ReplyBlock[] = [];
  #calls: WholeCall[] = [];
  #reasoningTokens = 0;
  #isThinking = false;
  #tokens: number[] = [];
  #last: ReplyPart | undefined;
  #logprobs: TokenLogprobs[] | undefined;

  add(part: ReplyPart): void {
    const tokens = part.completionTokens - (this.#last?.completionTokens ?? 0);
    this.#last = part;
    for (const token of part.tokens) this.#tokens.push(token);
    if (part.logprobs !== undefined)
      (this.#logprobs ??= []).push(...part.logprobs);
    for (const delta of part.deltas) {
      this.#isThinking = delta.kind === "reasoning";
      if (delta.kind === "call") {
        const { id, name } = delta;
        const call = { kind: delta.kind, id, name, arguments: "" };
        this.#blocks.push(call);
        this.#calls[delta.index] = call;
      } else if (delta.kind === "arguments") {
        const call = this.#calls[delta.index];
        if (call !== undefined) call.arguments += delta.text;
      } else {
        const { kind, text } = delta;
        const last = this.#blocks.at(-1);
        if (last?.kind === kind) last.text += text;
        else this.#blocks.push({ kind, text });
      }
    }
    const logprobs = contentLogprobs(part);
    const spoken = this.#blocks.findLast(({ kind }) => kind === "content");
    if (logprobs.length > 0 && spoken?.kind === "content")
      (spoken.logprobs ??= []).push(...logprobs);
    if (this.#isThinking) this.#reasoningTokens += tokens;
  }

  /** Throws INTERNAL if it did not finish. */
  choice(): Choice {
    const finish = this.#last?.finish;
    if (this.#last === undefined || finish === undefined)
      throw new ShoalError("INTERNAL", "a generation ended without its finish");
    return {
      content: this.#textOf("content"),
      reasoning: this.#textOf("reasoning"),
      calls: this.#calls.map(({ id, name, arguments: given }) => ({
        id,
        name,
        arguments: given,
      })),
      blocks: this.#blocks,
      finish,
      stoppedBy: this.#last.stoppedBy,
      logprobs: this.#logprobs,
      completionTokens: this.#last.completionTokens,
      reasoningTokens: this.#reasoningTokens,
      tokens: this.#tokens,
    };
  }

  #textOf(kind: "content" | "reasoning"): string {
    return this.#blocks
      .map((block) => (block.kind === kind ? block.text : ""))
      .join("");
  }
}
