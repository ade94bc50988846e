/** From a request to tokens that fit the model's context, and to what reads the reply. */
import {
  ChatTemplate,
  type ChatRequest,
  contentReader,
  type Hold,
  renderChat,
  type RenderedChat,
  type ReplyDelta,
  type ReplyReader,
} from "../chat/index.ts";
import type { ThoughtLimit } from "../engine/index.ts";
import { jsonGrammar, schemaToGrammar } from "../grammar/index.ts";
import type { ServedModel, TokenizerPort } from "../inference/index.ts";
import { ShoalError, withDeadline } from "../lib/index.ts";
import { type Gap, infillTokens } from "./infill.ts";
import { TOKENIZE_TIMEOUT_MS } from "./options.ts";
import { invalid } from "./validate.ts";

export type Prompt =
  | {
      kind: "chat";
      chat: ChatRequest;
      /** What the model thinks is part of the content. */
      isReasoningContent?: boolean;
    }
  | { kind: "text"; text: string; hold?: Hold | undefined }
  | ({ kind: "infill"; hold?: Hold | undefined } & Gap)
  | { kind: "tokens"; tokens: readonly number[]; hold?: Hold | undefined }
  /** Texts and tokens one after the other. */
  | {
      kind: "mixed";
      parts: readonly (string | number)[];
      hold?: Hold | undefined;
    };

/** A prompt for one model. */
export interface Prepared extends Omit<RenderedChat, "prompt" | "thoughts"> {
  tokens: Int32Array;
  thoughts?: ThoughtLimit;
}

/** Special tokens in the text count as such, as in llama.cpp's server: templates are made of them. */
type EncodeOptions = Parameters<TokenizerPort["encode"]>[1];
const ENCODE: EncodeOptions = Object.freeze({
  addSpecial: true,
  parseSpecial: true,
});

/** Parses a model's template once. */
export class Prompter {
  #source: string | undefined;
  #template: ChatTemplate | undefined;

  /**
   * At least one token, and room for one more in the context. `field`: the request's name of the prompt. Throws REQUEST_INVALID,
   * CONTEXT_EXCEEDED, TEMPLATE_MISSING, TEMPLATE_FAILED.
   */
  async prepare(
    model: ServedModel,
    prompt: Prompt,
    signal: AbortSignal,
    field = prompt.kind === "chat" ? "messages" : "prompt",
  ): Promise<Prepared> {
    const { tokens, ...reading } = await this.#prepare(model, prompt, signal);
    if (tokens.length === 0) throw invalid(field, "must not be empty");
    if (tokens.length >= model.contextLength) {
      const { contextLength } = model;
      throw new ShoalError(
        "CONTEXT_EXCEEDED",
        `prompt has ${tokens.length} tokens; the context (prompt + reply) is limited to ${contextLength}`,
        { param: field, promptTokens: tokens.length, contextLength },
      );
    }
    return { tokens, ...reading };
  }

  /** Its tokens, also if they fit no context, or are none. Throws as `prepare` otherwise. */
  async tokens(
    model: ServedModel,
    prompt: Prompt,
    signal: AbortSignal,
  ): Promise<Int32Array> {
    return (await this.#prepare(model, prompt, signal)).tokens;
  }

  /** How many those are. */
  async count(
    model: ServedModel,
    prompt: Prompt,
    signal: AbortSignal,
  ): Promise<number> {
    return (await this.tokens(model, prompt, signal)).length;
  }

  /** The text of a conversation's prompt, with the model's template. */
  render(model: ServedModel, chat: ChatRequest): RenderedChat {
    return renderChat(this.#templateOf(model), chat, model.tokenizer);
  }

  async #prepare(
    model: ServedModel,
    prompt: Prompt,
    signal: AbortSignal,
  ): Promise<Prepared> {
    const encode = (
      text: string,
      how: EncodeOptions = ENCODE,
    ): Promise<Int32Array> =>
      withDeadline(
        TOKENIZE_TIMEOUT_MS,
        "the tokenizer",
        () => model.tokenizer.encode(text, how),
        { signal },
      );
    if (prompt.kind !== "chat") {
      const tokens = await unrendered(model, prompt, encode);
      return { ...plain(prompt.hold), tokens };
    }
    const {
      prompt: text,
      thoughts,
      ...rendered
    } = this.render(model, prompt.chat);
    const reader = (): ReplyReader =>
      prompt.isReasoningContent === true
        ? unthinking(rendered.reader())
        : rendered.reader();
    const tokens = await encode(text);
    if (thoughts === undefined) return { ...rendered, reader, tokens };
    const how = { addSpecial: false, parseSpecial: true };
    const end = [...(await encode(thoughts.close, how))];
    return { ...rendered, reader, tokens, thoughts: { ...thoughts, end } };
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

/** The tokens of a prompt that is no conversation. */
async function unrendered(
  model: ServedModel,
  prompt: Exclude<Prompt, { kind: "chat" }>,
  encode: (text: string, how?: EncodeOptions) => Promise<Int32Array>,
): Promise<Int32Array> {
  const { vocabSize } = model.tokenizer;
  if (prompt.kind === "text") return await encode(prompt.text);
  if (prompt.kind === "tokens") return checkedTokens(prompt.tokens, vocabSize);
  if (prompt.kind === "mixed")
    return checkedTokens(await mixedTokens(prompt.parts, encode), vocabSize);
  // What is around the gap is a stranger's text, and no token in it counts as special.
  return await infillTokens(model, prompt, (text, addSpecial) =>
    encode(text, { addSpecial, parseSpecial: false }),
  );
}

/** How such a reply is read. */
function plain(hold: Hold | undefined): Omit<Prepared, "tokens"> {
  const gbnf = hold && gbnfOf(hold);
  return {
    reader: contentReader,
    stop: [],
    preserved: [],
    ...(gbnf !== undefined && { grammar: { gbnf } }),
  };
}

/** Throws SCHEMA_UNSUPPORTED. */
function gbnfOf(hold: Hold): string {
  if (hold.kind === "gbnf") return hold.gbnf;
  return hold.kind === "json" ? jsonGrammar() : schemaToGrammar(hold.schema);
}

/** As llama.cpp's server: BOS comes before a text that is first, and before nothing else. */
async function mixedTokens(
  parts: readonly (string | number)[],
  encode: (text: string, how: EncodeOptions) => Promise<Int32Array>,
): Promise<number[]> {
  const tokens: number[] = [];
  for (const [index, part] of parts.entries()) {
    if (typeof part === "number") tokens.push(part);
    else {
      const how = { addSpecial: index === 0, parseSpecial: true };
      for (const token of await encode(part, how)) tokens.push(token);
    }
  }
  return tokens;
}

/** What was thought becomes content. */
function unthinking(reader: ReplyReader): ReplyReader {
  return {
    push: (text) => reader.push(text).map(asContent),
    end: () => reader.end().map(asContent),
  };
}

const asContent = (delta: ReplyDelta): ReplyDelta =>
  delta.kind === "reasoning" ? { ...delta, kind: "content" } : delta;

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
