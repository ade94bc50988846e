/**
 * A model's own chat template: Jinja that turns messages into the one text the model was trained on. The template comes with the model's
 * file, so it is not trusted: its time and its output are bounded.
 *
 *     const template = new ChatTemplate(source);
 *     template.render([{ role: "user", content: "Hello" }], { bosToken: "<s>", eosToken: "</s>", tokenizerAddsBos: true });
 *
 * Templates get what llama.cpp gives them (`common_chat_template_direct_apply`, common/chat.cpp at v0.5.0): `messages`, `bos_token`,
 * `eos_token`, `add_generation_prompt`, `enable_thinking`, the date, and no tools.
 */
import { createContext, Script } from "node:vm";
import { Environment, Interpreter, Template } from "@huggingface/jinja";
import { ShoalError, systemClock, type Clock } from "../lib/index.ts";

export interface ChatMessage {
  role: string;
  content: string;
}

export interface RenderOptions {
  bosToken: string;
  eosToken: string;
  /** The tokenizer adds BOS itself. A BOS that the template wrote first is removed, so that the prompt has only one. */
  tokenizerAddsBos: boolean;
  /** End with the beginning of the assistant's answer. */
  addGenerationPrompt?: boolean;
}

/** The largest templates in use (tools, thinking, vision) have about 20 KiB. */
export const MAX_TEMPLATE_CHARS = 256 * 1024;
/** Twice the gateway's largest request body: a template adds some text to each message but does not multiply it. */
const MAX_RENDERED_CHARS = 8 * 1024 * 1024;
/** Rendering blocks the process. A real template takes a millisecond or two, also on a busy machine. */
const MAX_RENDER_MS = 2_000;
/** A longer list is not a list of messages. */
const MAX_LIST_ITEMS = 100_000;
/** Length of a template's own complaint, which the client sees. */
const MAX_REASON_CHARS = 500;

export interface ChatTemplateOptions {
  clock?: Clock;
  /** The bound on one rendering, in ms. */
  maxRenderMs?: number;
}

export class ChatTemplate {
  #program: unknown;
  #clock: Clock;
  #maxRenderMs: number;
  #knowsDeveloper: boolean;

  /** Throws TEMPLATE_FAILED if the source is not Jinja. */
  constructor(
    source: string,
    {
      clock = systemClock,
      maxRenderMs = MAX_RENDER_MS,
    }: ChatTemplateOptions = {},
  ) {
    if (source.length > MAX_TEMPLATE_CHARS) {
      throw failed(`it is longer than ${MAX_TEMPLATE_CHARS} characters`);
    }
    this.#clock = clock;
    this.#maxRenderMs = maxRenderMs;
    this.#knowsDeveloper = source.includes("developer");
    try {
      this.#program = withinTime(maxRenderMs, () => parse(source));
    } catch (error) {
      throw failed(reason(error), error);
    }
  }

  /** Throws TEMPLATE_FAILED if the template refuses the messages (with its words), fails or takes too long. */
  render(messages: readonly ChatMessage[], options: RenderOptions): string {
    const environment = newEnvironment();
    const scope = this.#scope(messages, options);
    for (const [name, value] of Object.entries(scope)) {
      environment.set(name, value);
    }
    let text: unknown;
    try {
      const interpreter = new BoundedInterpreter(environment);
      text = withinTime(
        this.#maxRenderMs,
        () => interpreter.run(this.#program).value,
      );
    } catch (error) {
      if (error instanceof TemplateRefusal) {
        const message = `the chat template refuses these messages: ${error.message.slice(0, MAX_REASON_CHARS)}`;
        throw new ShoalError("TEMPLATE_FAILED", message, {}, error);
      }
      throw failed(reason(error), error);
    }
    if (typeof text !== "string") throw failed("it produced no text");
    const doubled =
      options.tokenizerAddsBos &&
      options.bosToken !== "" &&
      text.startsWith(options.bosToken);
    return doubled ? text.slice(options.bosToken.length) : text;
  }

  #scope(
    messages: readonly ChatMessage[],
    options: RenderOptions,
  ): Record<string, unknown> {
    const now = new Date(this.#clock.now());
    return {
      ...LITERALS,
      raise_exception(message: unknown): never {
        throw new TemplateRefusal(String(message));
      },
      range: boundedRange,
      strftime_now: (format: unknown) => strftime(now, String(format)),
      messages: messages.map((message) => ({
        ...message,
        role: this.#roleOf(message),
      })),
      bos_token: options.bosToken,
      eos_token: options.eosToken,
      enable_thinking: true,
      datetime: strftime(now, "%b %d %Y"),
      date_string: strftime(now, "%d %b %Y"),
      ...(options.addGenerationPrompt === false
        ? {}
        : { add_generation_prompt: true }),
    };
  }

  /** OpenAI's newer name for the system's role; few templates know it. */
  #roleOf(message: ChatMessage): string {
    const renamed = message.role === "developer" && !this.#knowsDeveloper;
    return renamed ? "system" : message.role;
  }
}

/** Jinja's constants, as the library declares them for itself. */
const LITERALS = Object.freeze({
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
});

/** What a template throws on purpose, as opposed to a failure. */
class TemplateRefusal extends Error {}

/** The part of the library that is used here. (Its own declarations do not resolve under nodenext: imports without extension.) */
interface LibraryInterpreter {
  run(program: unknown): { value: unknown };
  evaluate(node: unknown, environment: unknown): { value: unknown };
}
const LibraryInterpreter = Interpreter as unknown as new (
  environment: LibraryEnvironment,
) => LibraryInterpreter;
interface LibraryEnvironment {
  set(name: string, value: unknown): unknown;
}
const newEnvironment = (): LibraryEnvironment => new Environment();
const parse = (source: string): unknown => new Template(source).parsed;

/** Every value a template makes passes through `evaluate`, which can therefore bound texts and lists. */
class BoundedInterpreter extends LibraryInterpreter {
  override evaluate(node: unknown, environment: unknown): { value: unknown } {
    const result = super.evaluate(node, environment);
    const { value } = result;
    if (typeof value === "string" && value.length > MAX_RENDERED_CHARS) {
      throw new Error(`more than ${MAX_RENDERED_CHARS} characters`);
    }
    if (Array.isArray(value) && value.length > MAX_LIST_ITEMS) {
      throw new Error(`a list of more than ${MAX_LIST_ITEMS} items`);
    }
    return result;
  }
}

/** Python's range(), which would fill the memory without a check of its length. */
function boundedRange(first: number, last?: number, step = 1): number[] {
  const [start, stop] = last === undefined ? [0, first] : [first, last];
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (!(length <= MAX_LIST_ITEMS)) {
    throw new Error(`range() of more than ${MAX_LIST_ITEMS} items`);
  }
  return Array.from({ length }, (_, i) => start + i * step);
}

/** The same result, or an error after `maxMs`: node:vm's watchdog stops all JavaScript below it, host functions included. */
function withinTime<T>(maxMs: number, work: () => T): T {
  let result: { value: T } | undefined;
  watched.work = () => {
    result = { value: work() };
  };
  try {
    callWork.runInContext(watched, { timeout: maxMs });
  } finally {
    delete watched.work;
  }
  if (result === undefined) throw new Error("it did not finish");
  return result.value;
}

const watched = createContext(Object.create(null) as { work?: () => void });
const callWork = new Script("work()");

const MONTHS =
  "January February March April May June July August September October November December".split(
    " ",
  );
const DAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(
  " ",
);

const two = (n: number): string => String(n).padStart(2, "0");

/** C's strftime in local time and English, as llama.cpp's `strftime_now`; the library's own uses the machine's language. */
function strftime(date: Date, format: string): string {
  const month = MONTHS[date.getMonth()] ?? "";
  const day = DAYS[date.getDay()] ?? "";
  const fields: Readonly<Record<string, string>> = {
    "%": "%",
    Y: String(date.getFullYear()),
    y: two(date.getFullYear() % 100),
    m: two(date.getMonth() + 1),
    d: two(date.getDate()),
    B: month,
    b: month.slice(0, 3),
    A: day,
    a: day.slice(0, 3),
    H: two(date.getHours()),
    I: two(date.getHours() % 12 || 12),
    M: two(date.getMinutes()),
    S: two(date.getSeconds()),
    p: date.getHours() < 12 ? "AM" : "PM",
  };
  return format.replaceAll(
    /%([%a-zA-Z])/g,
    (all, letter: string) => fields[letter] ?? all,
  );
}

function reason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.slice(0, MAX_REASON_CHARS);
}

function failed(why: string, cause?: unknown): ShoalError {
  const message = `the model's chat template failed: ${why}`;
  return new ShoalError("TEMPLATE_FAILED", message, {}, cause);
}
