/**
 * Messages in the form that a template takes. What it takes is found by trial renders with marked words, as llama.cpp does: what the marked
 * word is missing from, the template does not show.
 */
import type { Json } from "../jinja/index.ts";

export interface ContentPart {
  readonly type: string;
  readonly text?: string;
  readonly [field: string]: Json | undefined;
}

export interface ToolCall {
  readonly function: { readonly name: string; readonly arguments: Json };
  readonly [field: string]: Json | undefined;
}

export interface ChatMessage {
  role: string;
  content: string | readonly ContentPart[] | null;
  /** `arguments` as JSON, or as what it says. */
  tool_calls?: readonly ToolCall[];
  tool_call_id?: string;
  name?: string;
  /** What the model thought before it answered. */
  reasoning_content?: string;
}

/** Renders messages; undefined: the template refuses them. */
export type TrialRender = (
  messages: readonly ChatMessage[],
  tools?: readonly Json[],
) => string | undefined;

const MARK = "needle-5f1c";
const HELLO: ChatMessage = { role: "user", content: "Hello" };

/** What a template takes. Each is tried when it is first asked for. */
export class TemplateSupport {
  #render: TrialRender;
  #found = new Map<string, boolean>();

  constructor(render: TrialRender) {
    this.#render = render;
  }

  /** `content` must be a list of parts. */
  get wantsParts(): boolean {
    return this.#once("parts", () => {
      const said = (content: ChatMessage["content"]): boolean =>
        this.#shows([{ role: "user", content }]);
      return !said(MARK) && said(partsOf(MARK));
    });
  }

  get systemRole(): boolean {
    return this.#once("system", () =>
      this.#shows([
        { role: "system", content: this.#content(MARK) },
        this.#hello,
      ]),
    );
  }

  get tools(): boolean {
    const tool = { name: MARK, description: MARK, parameters: {} };
    return this.#once("tools", () =>
      this.#shows([this.#hello], [{ type: "function", function: tool }]),
    );
  }

  get toolCalls(): boolean {
    return this.#once("calls", () =>
      ["", null].some((content) =>
        [{}, "{}"].some((given) =>
          this.#shows([this.#hello, calling(MARK, given, content)]),
        ),
      ),
    );
  }

  get toolResults(): boolean {
    return this.#once("results", () =>
      this.#shows([
        this.#hello,
        calling("f", this.wantsObjects ? {} : "{}", this.takesNull ? null : ""),
        { ...RESULT, content: this.#content(MARK) },
      ]),
    );
  }

  /** A call's arguments must be an object: their JSON would be written as a string within JSON, or not at all. */
  get wantsObjects(): boolean {
    const shows = (given: Json): boolean => {
      const call = calling("f", given, "");
      const text = this.#render([this.#hello, call]) ?? "";
      return text.includes(MARK) && !text.includes(`\\"${MARK}`);
    };
    return this.#once(
      "objects",
      () => !shows(JSON.stringify({ [MARK]: 1 })) && shows({ [MARK]: 1 }),
    );
  }

  /** The content beside a call may be null; else it is "". */
  get takesNull(): boolean {
    const given = this.wantsObjects ? {} : "{}";
    return this.#once("null", () => {
      const text = this.#render([this.#hello, calling(MARK, given, null)]);
      return text?.includes(MARK) === true && !text.includes("None");
    });
  }

  /** A call as the template writes it, after a user's message. Undefined: it does not. */
  get callText(): string | undefined {
    if (!this.toolCalls) return undefined;
    const given = { argument: "value" };
    const call = calling(
      "function_name",
      this.wantsObjects ? given : JSON.stringify(given),
      this.takesNull ? null : "",
    );
    return this.#render([this.#hello, call]);
  }

  get #hello(): ChatMessage {
    return { ...HELLO, content: this.#content("Hello") };
  }

  #content(text: string): ChatMessage["content"] {
    return this.wantsParts ? partsOf(text) : text;
  }

  #shows(messages: readonly ChatMessage[], tools?: readonly Json[]): boolean {
    return this.#render(messages, tools)?.includes(MARK) === true;
  }

  #once(what: string, find: () => boolean): boolean {
    const known = this.#found.get(what);
    if (known !== undefined) return known;
    const found = find();
    this.#found.set(what, found);
    return found;
  }
}

/** Nine letters and digits: Mistral's templates refuse other ids. */
const CALL_ID = "abcdef123";
const RESULT = { role: "tool", name: "f", tool_call_id: CALL_ID };

function calling(
  name: string,
  given: Json,
  content: string | null,
): ChatMessage {
  const call = { type: "function", id: CALL_ID };
  return {
    role: "assistant",
    content,
    tool_calls: [{ ...call, function: { name, arguments: given } }],
  };
}

const partsOf = (text: string): ContentPart[] => [{ type: "text", text }];

/** Parts as llama.cpp's server joins them: one line each. */
export function contentText(content: ChatMessage["content"]): string {
  if (typeof content === "string") return content;
  return (content ?? [])
    .flatMap(({ text }) => (text === undefined ? [] : [text]))
    .join("\n");
}

/** Messages as the template takes them. */
export function adapted(
  messages: readonly ChatMessage[],
  support: TemplateSupport,
): ChatMessage[] {
  const hasSystem = messages.some(({ role }) => role === "system");
  const folded =
    hasSystem && !support.systemRole ? withoutSystem(messages) : messages;
  return folded.map((message) => adaptedMessage(message, support));
}

function adaptedMessage(
  message: ChatMessage,
  support: TemplateSupport,
): ChatMessage {
  const { content, tool_calls: calls } = message;
  if (calls === undefined || calls.length === 0) {
    return { ...message, content: inForm(content, support) };
  }
  const none = support.takesNull ? null : "";
  return {
    ...message,
    content: contentText(content) === "" ? none : inForm(content, support),
    tool_calls: support.wantsObjects ? calls.map(withObject) : calls,
  };
}

function inForm(
  content: ChatMessage["content"],
  support: TemplateSupport,
): ChatMessage["content"] {
  const isText = content === null || typeof content === "string";
  if (support.wantsParts) return isText ? partsOf(content ?? "") : content;
  return contentText(content);
}

/** A system message's text goes in front of the next message. Alone it is dropped; at the end it becomes the user's. */
function withoutSystem(messages: readonly ChatMessage[]): ChatMessage[] {
  const kept: ChatMessage[] = [];
  let pending: string[] = [];
  for (const message of messages) {
    const text = contentText(message.content);
    if (message.role === "system") pending.push(text);
    else {
      kept.push({ ...message, content: [...pending, text].join("\n") });
      pending = [];
    }
  }
  if (pending.length > 0 && kept.length > 0) {
    kept.push({ role: "user", content: pending.join("\n") });
  }
  return kept;
}

function withObject(call: ToolCall): ToolCall {
  const { arguments: given } = call.function;
  if (typeof given !== "string") return call;
  try {
    const parsed = JSON.parse(given) as Json;
    return { ...call, function: { ...call.function, arguments: parsed } };
  } catch {
    return call;
  }
}
