/** The body of POST /v1/messages and its meaning (https://platform.claude.com/docs/en/api/messages). */
import { z } from "zod";
import { SAMPLING_DEFAULTS, samplingFields } from "../../engine/index.ts";
import type { Order, ParseContext } from "../api.ts";
import type { ChatRequest, Hold } from "../../chat/index.ts";
import { effortOf } from "../turns.ts";
import { tellUnknown } from "../unknown-fields.ts";
import { validate } from "../validate.ts";
import { conversation, messageList, systemBlocks } from "./messages.ts";
import { toolChoiceOf, toolChoice, toolsOf, toolList } from "./tools.ts";

/** As many as in OpenAI's requests to llama-server. */
const MAX_STOPS = 16;
/** Text that may begin a stop string is held back from the client, so a longer one would hide the stream. */
const MAX_STOP_CHARS = 256;

/** They say how Anthropic should bill, place and cache a request, or ask for what only it has; none changes what this model writes. */
const IGNORED = [
  "metadata",
  "cache_control",
  "service_tier",
  "inference_geo",
  "speed",
  "diagnostics",
  "context_management",
  "container",
  "betas",
] as const;

const MAX_TOKENS = "must be a whole number of at least 1";
const STOP = `must have 1 to ${MAX_STOP_CHARS} characters`;
const object = { error: "must be an object" };
const boolean = z.boolean({ error: "must be true or false" });

const thinking = z.object(
  {
    type: z.enum(["enabled", "disabled", "adaptive", "between_tools"], {
      error: 'must be "enabled", "disabled", "adaptive" or "between_tools"',
    }),
    display: z
      .enum(["summarized", "omitted"], {
        error: 'must be "summarized" or "omitted"',
      })
      .nullish(),
    budget_tokens: z
      .int({ error: MAX_TOKENS })
      .min(1, { error: MAX_TOKENS })
      .nullish(),
  },
  object,
);

const format = z.object(
  {
    type: z.literal("json_schema", { error: 'must be "json_schema"' }),
    schema: z.record(z.string(), z.unknown(), object),
  },
  object,
);

const schema = z.object({
  model: z.string({ error: "must be the name of a model" }).nullish(),
  max_tokens: z
    .int({ error: MAX_TOKENS })
    .min(1, { error: MAX_TOKENS })
    .nullish(),
  messages: messageList,
  system: systemBlocks.nullish(),
  tools: toolList.nullish(),
  tool_choice: toolChoice.nullish(),
  thinking: thinking.nullish(),
  output_config: z
    .object(
      {
        effort: z.string({ error: "must be a string" }).nullish(),
        format: format.nullish(),
      },
      object,
    )
    .nullish(),
  stop_sequences: z
    .array(
      z
        .string({ error: STOP })
        .min(1, { error: STOP })
        .max(MAX_STOP_CHARS, { error: STOP })
        .refine((stop) => stop.isWellFormed(), {
          error: "must be valid Unicode",
        }),
      { error: "must be a list of strings" },
    )
    .max(MAX_STOPS, { error: `must have at most ${MAX_STOPS} strings` })
    .nullish(),
  stream: boolean.nullish(),
  temperature: samplingFields.temperature.nullish(),
  top_p: samplingFields.topP.nullish(),
  top_k: samplingFields.topK.nullish(),
});
type Fields = z.infer<typeof schema>;

export interface MessageOrder extends Order {
  /** Else a client sees that the model thought, but not what. */
  showsThinking: boolean;
}

export function parseMessage(
  body: unknown,
  context: ParseContext,
): MessageOrder {
  const known = [...Object.keys(schema.shape), ...IGNORED];
  tellUnknown(body, known, context);
  const fields = validate(schema, body);
  return {
    model: fields.model ?? undefined,
    prompts: [{ kind: "chat", chat: chatOf(fields) }],
    maxTokens: fields.max_tokens ?? undefined,
    stop: fields.stop_sequences ?? [],
    sampling: {
      ...SAMPLING_DEFAULTS,
      temperature: fields.temperature ?? SAMPLING_DEFAULTS.temperature,
      topP: fields.top_p ?? SAMPLING_DEFAULTS.topP,
      topK: fields.top_k ?? SAMPLING_DEFAULTS.topK,
      seed: undefined,
    },
    stream: fields.stream ?? false,
    includeUsage: true,
    includeProgress: false,
    showsThinking: fields.thinking?.display !== "omitted",
  };
}

function chatOf(fields: Fields): ChatRequest {
  const { thinking, output_config: output } = fields;
  const tools = toolsOf(fields.tools ?? []);
  const hold: Hold | undefined = output?.format
    ? { kind: "schema", schema: output.format.schema }
    : undefined;
  return {
    messages: conversation(fields.system ?? [], fields.messages),
    tools,
    ...toolChoiceOf(fields.tool_choice ?? undefined, tools),
    enableThinking: enableThinking(thinking?.type),
    thoughtTokens:
      thinking?.type === "enabled"
        ? (thinking.budget_tokens ?? undefined)
        : undefined,
    reasoningEffort: effortOf(output?.effort ?? undefined),
    continueLast: true,
    hold,
  };
}

/** undefined: as the template does by itself. */
function enableThinking(
  type: z.infer<typeof thinking>["type"] | undefined,
): boolean | undefined {
  if (type === "enabled" || type === "between_tools") return true;
  return type === "disabled" ? false : undefined;
}
