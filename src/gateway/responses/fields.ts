/** The body of POST /v1/responses and its meaning (https://platform.openai.com/docs/api-reference/responses/create). */
import { randomUUID } from "node:crypto";
import type {
  FunctionTool,
  Response,
} from "openai/resources/responses/responses";
import { z } from "zod";
import {
  MAX_LOGPROBS,
  SAMPLING_DEFAULTS,
  samplingFields,
} from "../../engine/index.ts";
import { ShoalError } from "../../lib/index.ts";
import type { Order, ParseContext } from "../api.ts";
import type { Hold } from "../../chat/index.ts";
import { effortOf } from "../turns.ts";
import { tellUnknown } from "../unknown-fields.ts";
import { invalid, validate } from "../validate.ts";
import {
  conversation,
  inputItems,
  type Item,
  itemOf,
  MAX_ITEMS,
} from "./items.ts";
import type { ResponseStore } from "./store.ts";
import {
  chosen,
  type Chosen,
  functionsOf,
  toolChoice,
  toolList,
} from "./tools.ts";

/** OpenAI's bounds. */
const MAX_METADATA = 16;
const MAX_METADATA_CHARS = 512;
/** OpenAI knows fewer. */
const MAX_INCLUDED = 32;

/** They say how OpenAI should bill, place, cache and show a request; none changes what this model writes. */
const IGNORED = [
  "max_tool_calls",
  "moderation",
  "prompt_cache_key",
  "prompt_cache_options",
  "prompt_cache_retention",
  "safety_identifier",
  "service_tier",
  "stream_options",
  "truncation",
  "user",
  "context_management",
  "client_metadata",
] as const;

/** What would be something else without it. */
const REFUSED: Readonly<Record<string, string>> = {
  background: "a response is computed while its client waits",
  conversation: "go on from `previous_response_id`",
  prompt: "there are no stored prompts here",
};

const object = { error: "must be an object" };
const boolean = z.boolean({ error: "must be true or false" });
const text = z.string({ error: "must be a string" });
function oneOf<const Word extends string>(
  ...words: Word[]
): z.ZodEnum<{ [word in Word]: word }> {
  const quoted = words.map((word) => `"${word}"`).join(", ");
  return z.enum(words, { error: `must be one of ${quoted}` });
}
/** Of what can be included, this alone is here; the others are of tools that OpenAI runs. */
const LOGPROBS = "message.output_text.logprobs";
const TOP = `must be a whole number between 0 and ${MAX_LOGPROBS}`;
const INCLUDE = `must be a list of at most ${MAX_INCLUDED} strings`;
const TOKENS = "must be a whole number of at least 1";
const METADATA = `must be at most ${MAX_METADATA} texts of at most ${MAX_METADATA_CHARS} characters`;

const format = z.discriminatedUnion(
  "type",
  [
    z.object({ type: z.literal("text") }),
    z.object({ type: z.literal("json_object") }),
    z.object({
      type: z.literal("json_schema"),
      name: text,
      schema: z.record(z.string(), z.unknown(), object),
      strict: boolean.nullish().transform((strict) => strict ?? null),
    }),
  ],
  { error: 'must be "text", "json_object" or "json_schema"' },
);

const schema = z.object({
  model: z.string({ error: "must be the name of a model" }).nullish(),
  input: inputItems.nullish(),
  instructions: text.nullish(),
  previous_response_id: text.nullish(),
  store: boolean.nullish(),
  stream: boolean.nullish(),
  tools: toolList.nullish(),
  tool_choice: toolChoice.nullish(),
  parallel_tool_calls: boolean.nullish(),
  text: z
    .object(
      {
        format: format.nullish(),
        verbosity: oneOf("low", "medium", "high").nullish(),
      },
      object,
    )
    .nullish(),
  reasoning: z
    .object(
      {
        effort: oneOf(
          "none",
          "minimal",
          "low",
          "medium",
          "high",
          "xhigh",
          "max",
        ).nullish(),
        summary: oneOf("auto", "concise", "detailed").nullish(),
      },
      object,
    )
    .nullish(),
  max_output_tokens: z
    .int({ error: TOKENS })
    .min(1, { error: TOKENS })
    .nullish(),
  include: z
    .array(z.string({ error: INCLUDE }), { error: INCLUDE })
    .max(MAX_INCLUDED, { error: INCLUDE })
    .nullish(),
  top_logprobs: z
    .int({ error: TOP })
    .min(0, { error: TOP })
    .max(MAX_LOGPROBS, { error: TOP })
    .nullish(),
  temperature: samplingFields.temperature.nullish(),
  top_p: samplingFields.topP.nullish(),
  metadata: z
    .record(
      z.string().max(MAX_METADATA_CHARS),
      z.string().max(MAX_METADATA_CHARS),
      { error: METADATA },
    )
    .refine((data) => Object.keys(data).length <= MAX_METADATA, {
      error: METADATA,
    })
    .nullish(),
});
type Fields = z.infer<typeof schema>;

export interface ResponseOrder extends Order {
  /** What was asked, without what came before it. */
  items: readonly Item[];
  keeps: boolean;
  owner: string;
  told: Told;
}

/** What an answer says again of its request. */
type Told = Required<
  Pick<
    Response,
    | "instructions"
    | "max_output_tokens"
    | "metadata"
    | "parallel_tool_calls"
    | "previous_response_id"
    | "reasoning"
    | "text"
    | "tool_choice"
    | "tools"
  >
> & { temperature: number; top_p: number; top_logprobs?: number };

/** Throws REQUEST_INVALID and PARAMETER_UNSUPPORTED. `store` has what `owner` may refer to. */
export function parseResponse(
  body: unknown,
  context: ParseContext,
  store: ResponseStore,
  owner: string,
): ResponseOrder {
  refuse(body);
  const known = [...Object.keys(schema.shape), ...IGNORED];
  tellUnknown(body, [...known, ...Object.keys(REFUSED)], context);
  const fields = validate(schema, body);
  const items = (fields.input ?? []).map((item) =>
    itemOf(item, newId, (id) => store.item(id, owner)),
  );
  const previous = fields.previous_response_id ?? undefined;
  const before = previous === undefined ? [] : store.before(previous, owner);
  const functions = functionsOf(fields.tools ?? [], context);
  const choice = chosen(fields.tool_choice ?? "auto", functions);
  const told = toldOf(fields, functions, choice);
  const messages = conversation(fields.instructions ?? undefined, [
    ...before,
    ...items,
  ]);
  if (messages.length === 0)
    throw invalid(
      "input",
      "is missing: it must be a string or a list of items",
    );
  if (messages.length > MAX_ITEMS)
    throw invalid(
      "input",
      `must have at most ${MAX_ITEMS} items, with those before it`,
    );
  return {
    model: fields.model ?? undefined,
    prompts: [
      {
        kind: "chat",
        chat: {
          messages,
          tools: choice.tools,
          toolChoice: choice.choice,
          parallelToolCalls: told.parallel_tool_calls,
          reasoningEffort: effortOf(fields.reasoning?.effort ?? undefined),
          continueLast: true,
          hold: holdOf(fields),
        },
      },
    ],
    maxTokens: fields.max_output_tokens ?? undefined,
    stop: [],
    sampling: {
      ...SAMPLING_DEFAULTS,
      temperature: told.temperature,
      topP: told.top_p,
      logprobs: fields.include?.includes(LOGPROBS)
        ? (fields.top_logprobs ?? 0)
        : -1,
      seed: undefined,
    },
    stream: fields.stream ?? false,
    includeUsage: true,
    includeProgress: false,
    items,
    keeps: fields.store ?? true,
    owner,
    told,
  };
}

const newId = (prefix: string): string =>
  `${prefix}_${randomUUID().replaceAll("-", "")}`;

function toldOf(
  fields: Fields,
  tools: FunctionTool[],
  { told: tool_choice }: Chosen,
): Told {
  const { effort = null, summary = null } = fields.reasoning ?? {};
  const { format, verbosity } = fields.text ?? {};
  return {
    instructions: fields.instructions ?? null,
    max_output_tokens: fields.max_output_tokens ?? null,
    metadata: fields.metadata ?? {},
    parallel_tool_calls: fields.parallel_tool_calls ?? true,
    previous_response_id: fields.previous_response_id ?? null,
    reasoning: { effort, summary },
    temperature: fields.temperature ?? SAMPLING_DEFAULTS.temperature,
    text: {
      format: format ?? { type: "text" },
      ...(verbosity && { verbosity }),
    },
    tool_choice,
    tools,
    ...(typeof fields.top_logprobs === "number" && {
      top_logprobs: fields.top_logprobs,
    }),
    top_p: fields.top_p ?? SAMPLING_DEFAULTS.topP,
  };
}

/** Throws PARAMETER_UNSUPPORTED. */
function refuse(body: unknown): void {
  if (typeof body !== "object" || body === null) return;
  for (const [param, because] of Object.entries(REFUSED)) {
    const value = (body as Record<string, unknown>)[param] ?? false;
    if (value === false) continue;
    const message = `\`${param}\` is not supported: ${because}`;
    throw new ShoalError("PARAMETER_UNSUPPORTED", message, { param });
  }
}

function holdOf({ text }: Fields): Hold | undefined {
  const format = text?.format;
  if (format?.type === "json_object") return { kind: "json" };
  return format?.type === "json_schema"
    ? { kind: "schema", schema: format.schema }
    : undefined;
}
