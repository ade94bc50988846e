/**
 * A model's own chat template: Jinja that turns messages into the one text the model was trained on. The template comes with the model's
 * file, so it is not trusted: its size, steps, output and time are bounded (`src/jinja/budget.ts`, and a watchdog here).
 *
 *     const template = new ChatTemplate(source);
 *     template.render([{ role: "user", content: "Hello" }], { bosToken: "<s>", eosToken: "</s>", tokenizerAddsBos: true });
 *
 * Templates get what llama.cpp gives them (`common_chat_template_direct_apply`, common/chat.cpp at v0.5.0): `messages`, `bos_token`,
 * `eos_token`, `add_generation_prompt`, `enable_thinking`, the date, and `tools` and `documents` where there are some. Messages are first
 * brought into the form that the template takes (`chat-messages.ts`).
 */
import {
  JinjaTemplate,
  strftime,
  TemplateRefusal,
  type Json,
} from "../jinja/index.ts";
import { ShoalError, systemClock, type Clock } from "../lib/index.ts";
import { adapted, TemplateSupport, type ChatMessage } from "./chat-messages.ts";
import { withinTime } from "./within-time.ts";

export type { Json } from "../jinja/index.ts";
export type { ChatMessage, ContentPart, ToolCall } from "./chat-messages.ts";

export interface RenderOptions {
  bosToken: string;
  eosToken: string;
  /** The tokenizer adds BOS itself. A BOS that the template wrote first is removed, so that the prompt has only one. */
  tokenizerAddsBos: boolean;
  /** End with the beginning of the assistant's answer. */
  addGenerationPrompt?: boolean;
  /** OpenAI's list of functions. */
  tools?: readonly Json[] | undefined;
  /** What the answer is to be based on. */
  documents?: readonly Json[] | undefined;
  /** Where a model may think first. Without it, it does. */
  enableThinking?: boolean | undefined;
  /** More variables for the template. They do not replace its messages, tools, documents and tokens. */
  variables?: Readonly<Record<string, Json>> | undefined;
}

/** A model may have more than one template: GGUF's `tokenizer.chat_template.tool_use` is for requests with tools, `rag` for documents. */
export interface NamedTemplates {
  readonly tool_use?: string | undefined;
  readonly rag?: string | undefined;
}

/** The largest templates in use (tools, thinking, vision) have about 20 KiB. */
export const MAX_TEMPLATE_CHARS = 256 * 1024;
/** Rendering blocks the process. A real template takes a millisecond or two, also on a busy machine. */
const MAX_RENDER_MS = 2_000;
/** Length of a template's own complaint, which the client sees. */
const MAX_REASON_CHARS = 500;

/** What a template shows of a conversation. What it lacks is either given to it in another form (the system's words) or lost. */
export interface Supported {
  systemRole: boolean;
  tools: boolean;
  toolCalls: boolean;
  toolResults: boolean;
}

export interface ChatTemplateOptions {
  clock?: Clock;
  /** The bound on one rendering, in ms. */
  maxRenderMs?: number;
  named?: NamedTemplates;
}

export class ChatTemplate {
  #default: OneTemplate;
  #named = new Map<keyof NamedTemplates, OneTemplate>();

  /** Throws TEMPLATE_FAILED if a source is not Jinja. */
  constructor(source: string, options: ChatTemplateOptions = {}) {
    this.#default = new OneTemplate(source, options);
    const { tool_use: toolUse, rag } = options.named ?? {};
    if (toolUse !== undefined) {
      this.#named.set("tool_use", new OneTemplate(toolUse, options));
    }
    if (rag !== undefined) {
      this.#named.set("rag", new OneTemplate(rag, options));
    }
  }

  /** Throws TEMPLATE_FAILED if the template refuses the messages (with its words), fails or takes too long. */
  render(messages: readonly ChatMessage[], options: RenderOptions): string {
    return this.#for(options).render(messages, options);
  }

  /** What the template for such a request does with what it is given. */
  supports(options: RenderOptions): Supported {
    return this.#for(options).supports(options);
  }

  /** The template for such a request, as it is written. */
  sourceFor(options: RenderOptions): string {
    return this.#for(options).source;
  }

  /** How the template for such a request writes a call. Undefined: it does not. */
  callText(options: RenderOptions): string | undefined {
    return this.#for(options).callText(options);
  }

  #for({ tools, documents }: RenderOptions): OneTemplate {
    const toolUse = isSome(tools) ? this.#named.get("tool_use") : undefined;
    const rag = isSome(documents) ? this.#named.get("rag") : undefined;
    return toolUse ?? rag ?? this.#default;
  }
}

const isSome = (list: readonly unknown[] | undefined): boolean =>
  list !== undefined && list.length > 0;

class OneTemplate {
  readonly source: string;
  #template: JinjaTemplate;
  #clock: Clock;
  #maxRenderMs: number;
  #knowsDeveloper: boolean;
  #tried: TemplateSupport | undefined;
  #callText: { text: string | undefined } | undefined;

  constructor(
    source: string,
    { clock = systemClock, maxRenderMs = MAX_RENDER_MS }: ChatTemplateOptions,
  ) {
    if (source.length > MAX_TEMPLATE_CHARS) {
      throw failed(`it is longer than ${MAX_TEMPLATE_CHARS} characters`);
    }
    this.source = source;
    this.#clock = clock;
    this.#maxRenderMs = maxRenderMs;
    this.#knowsDeveloper = source.includes("developer");
    try {
      this.#template = withinTime(maxRenderMs, () => new JinjaTemplate(source));
    } catch (error) {
      throw failed(reason(error), error);
    }
  }

  render(messages: readonly ChatMessage[], options: RenderOptions): string {
    let text: string;
    try {
      text = withinTime(this.#maxRenderMs, () => {
        const renamed = messages.map((message) => ({
          ...message,
          role: this.#roleOf(message),
        }));
        const shown = adapted(renamed, this.#support(options));
        return this.#run(shown, options);
      });
    } catch (error) {
      if (error instanceof TemplateRefusal) {
        const message = `the chat template refuses these messages: ${error.message.slice(0, MAX_REASON_CHARS)}`;
        throw new ShoalError("TEMPLATE_FAILED", message, {}, error);
      }
      throw failed(reason(error), error);
    }
    const doubled =
      options.tokenizerAddsBos &&
      options.bosToken !== "" &&
      text.startsWith(options.bosToken);
    return doubled ? text.slice(options.bosToken.length) : text;
  }

  supports(options: RenderOptions): Supported {
    const support = this.#support(options);
    return withinTime(this.#maxRenderMs, () => ({
      systemRole: support.systemRole,
      tools: support.tools,
      toolCalls: support.toolCalls,
      toolResults: support.toolResults,
    }));
  }

  callText(options: RenderOptions): string | undefined {
    const support = this.#support(options);
    this.#callText ??= {
      text: withinTime(this.#maxRenderMs, () => support.callText),
    };
    return this.#callText.text;
  }

  /** Tried once, with the tokens of the first request. Within a watchdog. */
  #support(options: RenderOptions): TemplateSupport {
    const { bosToken, eosToken, tokenizerAddsBos } = options;
    const tokens = { bosToken, eosToken, tokenizerAddsBos };
    this.#tried ??= new TemplateSupport((messages, tools) => {
      try {
        return this.#run(messages, { ...tokens, tools });
      } catch {
        return undefined;
      }
    });
    return this.#tried;
  }

  #run(messages: readonly ChatMessage[], options: RenderOptions): string {
    const now = new Date(this.#clock.now());
    const { tools, documents } = options;
    return this.#template.render(
      {
        enable_thinking: options.enableThinking ?? true,
        datetime: strftime(now, "%b %d %Y"),
        date_string: strftime(now, "%d %b %Y"),
        ...options.variables,
        // A type's optional fields are JSON's absent ones.
        messages: messages as unknown as Json,
        tools: isSome(tools) ? tools : undefined,
        documents: isSome(documents) ? documents : undefined,
        bos_token: options.bosToken,
        eos_token: options.eosToken,
        add_generation_prompt: options.addGenerationPrompt ?? true,
      },
      { now },
    );
  }

  /** OpenAI's newer name for the system's role; few templates know it. */
  #roleOf(message: ChatMessage): string {
    const renamed = message.role === "developer" && !this.#knowsDeveloper;
    return renamed ? "system" : message.role;
  }
}

function reason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.slice(0, MAX_REASON_CHARS);
}

function failed(why: string, cause?: unknown): ShoalError {
  const message = `the model's chat template failed: ${why}`;
  return new ShoalError("TEMPLATE_FAILED", message, {}, cause);
}
