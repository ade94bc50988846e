/** Bodies of Ollama's /api/chat and /api/generate, and what they mean (docs/api.md and api/types.go of ollama/ollama at fb307609). */
import { z } from "zod";
import type { ChatMessage, Json } from "../../chat/index.ts";
import { ShoalError } from "../../lib/index.ts";
import type { Order, ParseContext } from "../api.ts";
import type { ChatRequest, Hold, Tool } from "../../chat/index.ts";
import type { Prompt } from "../prompt.ts";
import { samplingOf, samplingShape, seedOf } from "../sampling-fields.ts";
import { stopStrings } from "../stop-strings.ts";
import { invalid, validate } from "../validate.ts";
import { servedName } from "./names.ts";

/** A longer conversation fits no context; each message costs a pass through the template. */
const MAX_MESSAGES = 2048;
/** Each is in the prompt; agents have some dozens. */
const MAX_TOOLS = 512;
/** Of a message. */
const MAX_CALLS = 256;

export interface OllamaOrder extends Order {
  /** As the request has it. */
  asked: string | undefined;
}

/** Ollama's own defaults (`DefaultOptions`, api/types.go), where they are not llama.cpp's. */
const DEFAULTS = Object.freeze({ topP: 0.9, minP: 0 });

const text = z.string({ error: "must be a string" });
const flag = z.boolean({ error: "must be true or false" });
const anyObject = z.record(z.string(), z.custom<Json>(), {
  error: "must be an object",
});

/** Ollama cuts fractions off whole numbers. */
const whole = z
  .number({ error: "must be a number" })
  .transform((value) => Math.trunc(value));

const optionsSchema = z.object(
  {
    ...samplingShape,
    num_predict: whole.nullish(),
    seed: z
      .union([z.bigint(), whole], { error: "must be a whole number" })
      .nullish(),
    stop: stopStrings.nullish(),
  },
  { error: "must be an object" },
);

/** Of the machine that computes, or long without effect. */
const MACHINE_OPTIONS: ReadonlySet<string> = new Set([
  "num_ctx",
  "num_keep",
  "num_batch",
  "num_gpu",
  "num_thread",
  "main_gpu",
  "use_mmap",
  "use_mlock",
  "low_vram",
  "f16_kv",
  "numa",
  "vocab_only",
  "logits_all",
  "embedding_only",
  "penalize_newline",
  "draft_num_predict",
]);

const LEVELS = ["low", "medium", "high", "max"] as const;
const THINK = `must be true, false, ${LEVELS.map((l) => `"${l}"`).join(", ")}`;

/** Ollama's own bound. */
const MOST_TOP = 20;
const TOP = `must be a whole number between 0 and ${MOST_TOP}`;

const common = {
  model: z.string({ error: "must be the name of a model" }).nullish(),
  stream: flag.nullish(),
  format: z
    .union([z.enum(["json", ""]), anyObject], {
      error: 'must be "json" or a JSON schema',
    })
    .nullish(),
  think: z.union([flag, z.enum(LEVELS)], { error: THINK }).nullish(),
  options: optionsSchema.nullish(),
  logprobs: flag.nullish(),
  top_logprobs: z
    .int({ error: TOP })
    .min(0, { error: TOP })
    .max(MOST_TOP, { error: TOP })
    .nullish(),
};

const noImages = z
  .array(z.unknown(), { error: "must be a list" })
  .max(0, { error: "must be empty: the model served here reads text only" })
  .nullish();

const callSchema = z.object({
  id: text.nullish(),
  function: z.object(
    { name: text, arguments: z.union([anyObject, text]).nullish() },
    { error: "must be an object" },
  ),
});

const messageSchema = z.object(
  {
    role: z.preprocess(
      (role) => (typeof role === "string" ? role.toLowerCase() : role),
      z.enum(["system", "user", "assistant", "tool"], {
        error: 'must be "system", "user", "assistant" or "tool"',
      }),
    ),
    content: text.nullish(),
    thinking: text.nullish(),
    images: noImages,
    tool_calls: z
      .array(callSchema, { error: "must be a list" })
      .max(MAX_CALLS, { error: `must have at most ${MAX_CALLS} calls` })
      .nullish(),
    tool_name: text.nullish(),
    tool_call_id: text.nullish(),
  },
  { error: "must be an object" },
);

const toolSchema = z.object(
  {
    function: z.object(
      {
        name: text.min(1, { error: "must not be empty" }),
        description: text.nullish(),
        parameters: anyObject.nullish(),
      },
      { error: "must be an object" },
    ),
  },
  { error: "must be an object" },
);

const chatSchema = z.object({
  ...common,
  messages: z
    .array(messageSchema, { error: "must be a list of messages" })
    .min(1, { error: "must have at least one message" })
    .max(MAX_MESSAGES, { error: `must have at most ${MAX_MESSAGES} messages` }),
  tools: z
    .array(toolSchema, { error: "must be a list of tools" })
    .max(MAX_TOOLS, { error: `must have at most ${MAX_TOOLS} tools` })
    .nullish(),
});

const generateSchema = z.object({
  ...common,
  prompt: text,
  suffix: text.nullish(),
  system: text.nullish(),
  raw: flag.nullish(),
  images: noImages,
  template: text
    .max(0, { error: "is not supported: the model's own template is used" })
    .nullish(),
});

/** Known, and without effect here. A `context` of an earlier answer is not given by this gateway: send the conversation to /api/chat. */
const IGNORED: ReadonlySet<string> = new Set([
  "keep_alive",
  "truncate",
  "shift",
]);

export function parseChat(body: unknown, context: ParseContext): OllamaOrder {
  const fields = parsed(chatSchema, body, context);
  return orderOf(fields, {
    kind: "chat",
    chat: {
      ...thinking(fields.think),
      messages: messagesOf(fields.messages),
      tools: fields.tools?.map(toolOf),
      toolChoice: "auto",
      parallelToolCalls: true,
      continueLast: true,
      hold: holdOf(fields.format),
    },
  });
}

export function parseGenerate(
  body: unknown,
  context: ParseContext,
): OllamaOrder {
  const fields = parsed(generateSchema, body, context);
  const { prompt, system, suffix, raw } = fields;
  const hold = holdOf(fields.format);
  if (suffix !== undefined && suffix !== null && suffix !== "")
    return orderOf(fields, { kind: "infill", prefix: prompt, suffix, hold });
  if (raw === true) {
    if (system !== undefined && system !== null && system !== "")
      throw invalid("raw", "does not go together with `system`");
    return orderOf(fields, { kind: "text", text: prompt, hold });
  }
  const messages: ChatMessage[] = [{ role: "user", content: prompt }];
  if (system !== undefined && system !== null && system !== "")
    messages.unshift({ role: "system", content: system });
  return orderOf(fields, {
    kind: "chat",
    chat: {
      ...thinking(fields.think),
      messages,
      toolChoice: "none",
      parallelToolCalls: false,
      hold,
    },
  });
}

function parsed<T>(
  schema: z.ZodType<T> & { shape: object },
  body: unknown,
  context: ParseContext,
): T {
  tellUnknown(body, "", [...Object.keys(schema.shape), ...IGNORED], context);
  const { options } = (body ?? {}) as { options?: unknown };
  const known = [...Object.keys(optionsSchema.shape), ...MACHINE_OPTIONS];
  tellUnknown(options, "options.", known, context);
  return validate(schema, body);
}

function tellUnknown(
  given: unknown,
  prefix: string,
  known: readonly string[],
  context: ParseContext,
): void {
  if (typeof given !== "object" || given === null) return;
  for (const [name, value] of Object.entries(given)) {
    if (value === null || known.includes(name)) continue;
    const param = `${prefix}${name.slice(0, 64)}`;
    if (context.strict)
      throw new ShoalError(
        "PARAMETER_UNSUPPORTED",
        `unknown parameter \`${param}\``,
        { param },
      );
    context.onUnknown(param);
  }
}

function orderOf(
  fields: z.infer<z.ZodObject<typeof common>>,
  prompt: Prompt,
): OllamaOrder {
  const options = fields.options ?? {};
  const { num_predict: most, seed, stop } = options;
  return {
    asked: fields.model ?? undefined,
    model: servedName(fields.model),
    prompts: [prompt],
    maxTokens:
      most === undefined || most === null || most < 1 ? undefined : most,
    stop: stop ?? [],
    sampling: {
      ...samplingOf(options, DEFAULTS),
      seed: seedOf(seed),
      logprobs: fields.logprobs === true ? (fields.top_logprobs ?? 0) : -1,
    },
    stream: fields.stream ?? true,
    includeUsage: true,
    includeProgress: false,
  };
}

function holdOf(format: z.infer<typeof common.format>): Hold | undefined {
  if (format === undefined || format === null || format === "")
    return undefined;
  return format === "json"
    ? { kind: "json" }
    : { kind: "schema", schema: format };
}

/** "max" is what templates call "high". */
function thinking(
  think: z.infer<typeof common.think>,
): Pick<ChatRequest, "enableThinking" | "reasoningEffort"> {
  if (think === undefined || think === null) return {};
  if (typeof think === "boolean") return { enableThinking: think };
  const reasoningEffort = think === "max" ? "high" : think;
  return { enableThinking: true, reasoningEffort };
}

function toolOf({ function: tool }: z.infer<typeof toolSchema>): Tool {
  return {
    name: tool.name,
    ...(typeof tool.description === "string" && {
      description: tool.description,
    }),
    ...(tool.parameters && { parameters: tool.parameters }),
  };
}

/** Templates want each call to have an id, and its result to name it; Ollama's older clients send neither, and the results in order. */
function messagesOf(
  messages: readonly z.infer<typeof messageSchema>[],
): ChatMessage[] {
  let calls = 0;
  const unanswered: string[] = [];
  return messages.map((message) => {
    const { role, content, thinking } = message;
    const toolCalls = (message.tool_calls ?? []).map((call) => {
      // Nine letters and digits, as Mistral's templates want them.
      const id = call.id ?? `call${String(++calls).padStart(5, "0")}`;
      unanswered.push(id);
      const { name, arguments: given } = call.function;
      return {
        id,
        type: "function",
        function: { name, arguments: given ?? {} },
      };
    });
    const answered =
      role === "tool"
        ? (message.tool_call_id ?? unanswered.shift())
        : undefined;
    return {
      role,
      content: content ?? "",
      ...(thinking && { reasoning_content: thinking }),
      ...(toolCalls.length > 0 && { tool_calls: toolCalls }),
      ...(answered !== undefined && { tool_call_id: answered }),
      ...(message.tool_name && { name: message.tool_name }),
    };
  });
}
