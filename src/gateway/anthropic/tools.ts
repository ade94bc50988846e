/** Tools and the choice among them, in Anthropic's form. */
import { z } from "zod";
import type { Json } from "../../chat/index.ts";
import type { ChatRequest, Tool } from "../../chat/index.ts";
import { invalid } from "../validate.ts";

/** Each is text in the prompt and rules in a grammar. Agents bring some dozens. */
const MAX_TOOLS = 512;
/** Anthropic's bound. */
const MAX_NAME_CHARS = 128;

const object = { error: "must be an object" };
const NAME = `must be a name of 1 to ${MAX_NAME_CHARS} characters`;
const name = z
  .string({ error: NAME })
  .min(1, { error: NAME })
  .max(MAX_NAME_CHARS, { error: NAME });

export const toolList = z
  .array(
    z.object(
      {
        type: z
          .literal("custom", {
            error:
              'must be "custom": there are no tools of Anthropic\'s own here',
          })
          .nullish(),
        name,
        description: z.string({ error: "must be a string" }).nullish(),
        input_schema: z.record(z.string(), z.custom<Json>(), object),
        strict: z.boolean({ error: "must be true or false" }).nullish(),
      },
      object,
    ),
    { error: "must be a list of tools" },
  )
  .max(MAX_TOOLS, { error: `must have at most ${MAX_TOOLS} tools` });

const parallel = {
  disable_parallel_tool_use: z
    .boolean({ error: "must be true or false" })
    .nullish(),
};
export const toolChoice = z.discriminatedUnion(
  "type",
  [
    z.object({ type: z.literal("auto"), ...parallel }),
    z.object({ type: z.literal("any"), ...parallel }),
    z.object({ type: z.literal("tool"), name, ...parallel }),
    z.object({ type: z.literal("none"), ...parallel }),
  ],
  { error: 'must be "auto", "any", "tool" or "none"' },
);

export function toolsOf(tools: z.infer<typeof toolList>): Tool[] {
  return tools.map(({ name, description, input_schema, strict }) => ({
    name,
    ...(typeof description === "string" && { description }),
    parameters: input_schema,
    ...(typeof strict === "boolean" && { strict }),
  }));
}

export function toolChoiceOf(
  choice: z.infer<typeof toolChoice> | undefined,
  tools: readonly Tool[],
): Pick<ChatRequest, "toolChoice" | "parallelToolCalls"> {
  const parallelToolCalls = choice?.disable_parallel_tool_use !== true;
  switch (choice?.type) {
    case undefined:
    case "auto":
      return { toolChoice: "auto", parallelToolCalls };
    case "none":
      return { toolChoice: "none", parallelToolCalls };
    case "any":
      if (tools.length === 0)
        throw invalid("tool_choice", "needs `tools` to choose from");
      return { toolChoice: "required", parallelToolCalls };
    case "tool":
  }
  const { name } = choice;
  if (!tools.some((tool) => tool.name === name))
    throw invalid("tool_choice.name", "must be the name of one of `tools`");
  return { toolChoice: { name }, parallelToolCalls };
}
