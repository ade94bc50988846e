/** `tools` and what the model is to do with them, in the newer and the older form. */
import { z } from "zod";
import type { ChatRequest, Json, Tool } from "../../chat/index.ts";
import { invalid } from "../validate.ts";
import { anObject, flag, text } from "./common-fields.ts";

/** OpenAI's bound. */
const MAX_TOOLS = 128;
const MAX_NAME_CHARS = 128;

const NAME = `must be a name of at most ${MAX_NAME_CHARS} characters without spaces and quotes`;
const described = z
  .object(
    {
      name: text(NAME).regex(/^[^\s"'`<>{}]{1,128}$/, { error: NAME }),
      description: text("must be a string").nullish(),
      parameters: z
        .record(z.string(), z.custom<Json>(), { error: anObject })
        .nullish(),
      strict: flag.nullish(),
    },
    { error: anObject },
  )
  .transform(({ name, description, parameters, strict }): Tool => ({
    name,
    ...(typeof description === "string" && { description }),
    ...(parameters && { parameters }),
    ...(typeof strict === "boolean" && { strict }),
  }));

const tool = z
  .object(
    {
      type: z.literal("function", {
        error: 'must be "function", the only kind of tool supported',
      }),
      function: described,
    },
    { error: anObject },
  )
  .transform((one) => one.function);

const listed = <T>(one: z.ZodType<T>): z.ZodArray<z.ZodType<T>> =>
  z
    .array(one, { error: "must be a list" })
    .max(MAX_TOOLS, { error: `must have at most ${MAX_TOOLS} tools` });

const CHOICE =
  'must be "none", "auto", "required" or one of the tools by its name';
const named = z
  .object({ name: z.string() })
  .transform(({ name }) => ({ name }));

export const toolsShape = {
  tools: listed(tool).nullish(),
  tool_choice: z
    .union(
      [
        z.enum(["none", "auto", "required"]),
        z.literal("any").transform(() => "required" as const),
        z
          .object({ type: z.literal("function"), function: named })
          .transform((one) => one.function),
      ],
      { error: CHOICE },
    )
    .nullish(),
  parallel_tool_calls: flag.nullish(),
  /** OpenAI's names before `tools`. */
  functions: listed(described).nullish(),
  function_call: z
    .union([z.enum(["none", "auto"]), named], { error: CHOICE })
    .nullish(),
};

const schema = z.object(toolsShape);

export function toolsOf(
  fields: z.infer<typeof schema>,
): Pick<ChatRequest, "tools" | "toolChoice" | "parallelToolCalls"> {
  const isOld = !fields.tools?.length && Boolean(fields.functions?.length);
  const tools = (isOld ? fields.functions : fields.tools) ?? [];
  const param = isOld ? "function_call" : "tool_choice";
  const choice = fields[param] ?? "auto";
  if (typeof choice === "object" && !tools.some((t) => t.name === choice.name))
    throw invalid(param, "names a tool that is not among the tools");
  if (choice === "required" && tools.length === 0)
    throw invalid(param, "requires a call, but there are no tools");
  return {
    ...(tools.length > 0 && { tools }),
    toolChoice: tools.length === 0 ? "none" : choice,
    // The older form has room for one call.
    parallelToolCalls: !isOld && (fields.parallel_tool_calls ?? true),
  };
}
