/** Tools and the choice among them, in the form of OpenAI's Responses. */
import type {
  FunctionTool,
  Response,
} from "openai/resources/responses/responses";
import { z } from "zod";
import type { Json } from "../../chat/index.ts";
import type { ParseContext } from "../api.ts";
import type { ChatRequest, Tool } from "../../chat/index.ts";
import { tellOf } from "../unknown-fields.ts";
import { invalid } from "../validate.ts";

/** Each is text in the prompt and rules in a grammar. Agents bring some dozens. */
const MAX_TOOLS = 512;
const MAX_NAME_CHARS = 128;

const object = { error: "must be an object" };
const NAME = `must be a name of 1 to ${MAX_NAME_CHARS} characters`;
const name = z
  .string({ error: NAME })
  .min(1, { error: NAME })
  .max(MAX_NAME_CHARS, { error: NAME });
const type = z.string({ error: "must be a string" });

const functionTool = z.object({
  type: z.literal("function"),
  name,
  description: z.string({ error: "must be a string" }).nullish(),
  parameters: z.record(z.string(), z.custom<Json>(), object).nullish(),
  strict: z.boolean({ error: "must be true or false" }).nullish(),
});
/** A tool that OpenAI's servers run, or a kind that no model here was taught. */
const otherTool = z.object({ type: z.literal("other"), was: type });

function sorted(tool: unknown): unknown {
  if (typeof tool !== "object" || tool === null) return tool;
  const { type } = tool as { type?: unknown };
  return type === "function" ? tool : { type: "other", was: type };
}

export const toolList = z
  .array(
    z.preprocess(
      sorted,
      z.discriminatedUnion("type", [functionTool, otherTool], object),
    ),
    { error: "must be a list of tools" },
  )
  .max(MAX_TOOLS, { error: `must have at most ${MAX_TOOLS} tools` });

const reference = z.object({ type, name: z.string().optional() });
export const toolChoice = z.union(
  [
    z.enum(["auto", "none", "required"]),
    z.object({ type: z.literal("function"), name }),
    z.object({
      type: z.literal("allowed_tools"),
      mode: z.enum(["auto", "required"]),
      tools: z.array(reference).max(MAX_TOOLS),
    }),
  ],
  {
    error:
      'must be "auto", "none", "required", a function by its name, or allowed_tools',
  },
);

/** The functions among the tools. Others are told of, as llama-server does; refused if strict. */
export function functionsOf(
  tools: z.infer<typeof toolList>,
  context: ParseContext,
): FunctionTool[] {
  return tools.flatMap((tool) => {
    if (tool.type === "function") {
      const { type, name, parameters = null, strict = null } = tool;
      const { description = null } = tool;
      return { type, name, description, parameters, strict };
    }
    tellOf(`tools: ${tool.was}`, context);
    return [];
  });
}

export interface Chosen {
  choice: ChatRequest["toolChoice"];
  tools: Tool[];
  /** As the answer says it again. */
  told: Response["tool_choice"];
}

export function chosen(
  choice: z.infer<typeof toolChoice>,
  functions: readonly FunctionTool[],
): Chosen {
  const all = functions.map(toolOf);
  if (typeof choice === "string") {
    if (choice === "required" && all.length === 0)
      throw invalid("tool_choice", "needs `tools` to choose from");
    return { choice, tools: all, told: choice };
  }
  const has = (name: string | undefined): boolean =>
    all.some((tool) => tool.name === name);
  if (choice.type === "function") {
    const { name } = choice;
    if (!has(name)) throw invalid("tool_choice", "must name one of `tools`");
    return { choice: { name }, tools: all, told: choice };
  }
  const allowed = choice.tools.flatMap(({ name }) => name ?? []);
  if (!allowed.some(has))
    throw invalid("tool_choice", "must allow one of `tools`");
  const told = { ...choice, tools: choice.tools.map((one) => ({ ...one })) };
  const tools = all.filter(({ name }) => allowed.includes(name));
  return { choice: choice.mode, tools, told };
}

function toolOf({ name, description, parameters, strict }: FunctionTool): Tool {
  return {
    name,
    ...(typeof description === "string" && { description }),
    // They came as JSON.
    ...(parameters !== null && { parameters: parameters as Json }),
    ...(strict !== null && { strict }),
  };
}
