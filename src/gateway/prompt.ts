/** From a request to tokens that fit the model's context. */
import { ChatTemplate } from "../chat/index.ts";
import { ShoalError, withDeadline } from "../lib/index.ts";
import type { ServedModel } from "../inference/index.ts";
import { TOKENIZE_TIMEOUT_MS } from "./options.ts";
import type { Prompt } from "./request.ts";
import { invalid } from "./validate.ts";

/** Special tokens in the text count as such, as in llama.cpp's server: templates are made of them. */
const ENCODE = Object.freeze({ addSpecial: true, parseSpecial: true });

/** Parses a model's template once. */
export class Prompter {
  #source: string | undefined;
  #template: ChatTemplate | undefined;

  /** The prompt's tokens: at least one, and room for one more in the context. */
  async tokens(
    model: ServedModel,
    prompt: Prompt,
    signal: AbortSignal,
  ): Promise<Int32Array> {
    const tokens =
      prompt.kind === "tokens"
        ? checkedTokens(prompt.tokens, model.tokenizer.vocabSize)
        : await withDeadline(
            TOKENIZE_TIMEOUT_MS,
            "the tokenizer",
            () => model.tokenizer.encode(this.#text(model, prompt), ENCODE),
            { signal },
          );
    const field = prompt.kind === "messages" ? "messages" : "prompt";
    if (tokens.length === 0) throw invalid(field, "must not be empty");
    if (tokens.length >= model.contextLength) {
      const { contextLength } = model;
      throw new ShoalError(
        "CONTEXT_EXCEEDED",
        `prompt has ${tokens.length} tokens; the context (prompt + reply) is limited to ${contextLength}`,
        { param: field, promptTokens: tokens.length, contextLength },
      );
    }
    return tokens;
  }

  #text(
    model: ServedModel,
    prompt: Exclude<Prompt, { kind: "tokens" }>,
  ): string {
    if (prompt.kind === "text") return prompt.text;
    const { bosText, eosText, addsBos } = model.tokenizer;
    const { messages, documents, enableThinking, variables } = prompt;
    return this.#templateOf(model).render(messages, {
      bosToken: bosText,
      eosToken: eosText,
      tokenizerAddsBos: addsBos,
      documents,
      enableThinking,
      variables,
    });
  }

  #templateOf(model: ServedModel): ChatTemplate {
    if (model.chatTemplate === undefined) {
      throw new ShoalError(
        "TEMPLATE_MISSING",
        `the model ${model.id} has no chat template: use POST /v1/completions, which continues text`,
      );
    }
    if (this.#template === undefined || this.#source !== model.chatTemplate) {
      const named = model.namedTemplates;
      this.#template = new ChatTemplate(model.chatTemplate, { named });
      this.#source = model.chatTemplate;
    }
    return this.#template;
  }
}

function checkedTokens(
  tokens: readonly number[],
  vocabSize: number,
): Int32Array {
  const foreign = tokens.find((token) => token >= vocabSize);
  if (foreign !== undefined) {
    throw invalid(
      "prompt",
      `has token ${foreign}, but the model's tokens are 0 to ${vocabSize - 1}`,
    );
  }
  return Int32Array.from(tokens);
}
