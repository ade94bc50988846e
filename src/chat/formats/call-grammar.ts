import { isShoalError } from "../../lib/index.ts";
import { literal, type GrammarBuilder } from "../../grammar/index.ts";
import type { Tool } from "../chat-request.ts";
import type {
  CallFormat,
  NamedBody,
  ObjectBody,
  TaggedBody,
} from "./format.ts";
import { textUpTo } from "./grammar-text.ts";
import {
  argumentChoices,
  argumentSchema,
  argumentsOf,
  argumentTypes,
  isOnlyText,
} from "./schema-types.ts";

/** The rule of the calls that a reply may have, from the first mark on. */
export function addCalls(
  grammar: GrammarBuilder,
  format: CallFormat,
  tools: readonly Tool[],
  isParallel: boolean,
): string {
  const space = grammar.addJson("space");
  const { section, isList = false, call } = format;
  const bodies = tools.map((tool) =>
    grammar.addRule(`call-${tool.name}`, bodyOf(grammar, format, tool)),
  );
  const open = call.open === "" ? "" : `${literal(call.open)} ${space}`;
  const close = call.close === "" ? "" : `${space} ${literal(call.close)}`;
  const { isBare = false, isOpenOptional = false } = format;
  const opens = isBare || isOpenOptional ? `(${open})?` : open;
  const closes = isOpenOptional ? `(${close})?` : close;
  const one = grammar.addRule(
    "one-call",
    `${opens} (${bodies.join(" | ")}) ${closes}`,
  );
  const between = isList ? `"," ${space}` : isBare ? `";"? ${space}` : space;
  const more = isParallel ? ` (${between} ${one})*` : "";
  const all = isList
    ? `"[" ${space} ${one}${more} ${space} "]"`
    : `${one}${more}`;
  if (section === undefined) return grammar.addRule("calls", all);
  const end = section.close === "" ? "" : `${space} ${literal(section.close)}`;
  const inSection = `${literal(section.open)} ${space} ${all} ${end}`;
  // A model may begin with a call's own mark.
  const alone = call.open === "" ? "" : ` | ${all}`;
  return grammar.addRule("calls", inSection + alone);
}

function bodyOf(
  grammar: GrammarBuilder,
  { body }: CallFormat,
  tool: Tool,
): string {
  if (body.kind === "object") return objectBody(grammar, body, tool);
  if (body.kind === "named") return namedBody(grammar, body, tool);
  return taggedBody(grammar, body, tool);
}

function objectBody(
  grammar: GrammarBuilder,
  { name, arguments: [key = ""], id }: ObjectBody,
  tool: Tool,
): string {
  const space = grammar.addJson("space");
  const member = (of: string, value: string): string =>
    `${literal(JSON.stringify(of))} ${space} ":" ${space} ${value}`;
  const comma = `${space} "," ${space}`;
  const text = literal(JSON.stringify(tool.name));
  const given = id && member(id.key, `"\\"" [0-9A-Za-z]{1,24} "\\""`);
  const before = id?.isFirst === true ? `${given} ${comma}` : "";
  const after = id?.isFirst === false ? `(${comma} ${given})?` : "";
  const call = `${member(name, text)} ${comma} ${member(key, addArguments(grammar, tool))}`;
  return `"{" ${space} ${before} ${call} ${after} ${space} "}"`;
}

function namedBody(
  grammar: GrammarBuilder,
  {
    beforeName = "",
    isNumbered = false,
    id,
    afterName,
    afterArguments = "",
  }: NamedBody,
  tool: Tool,
): string {
  const parts = [literal(beforeName + tool.name)];
  if (isNumbered) parts.push('":" [0-9]{1,4}');
  if (id !== undefined) parts.push(`(${literal(id)} [0-9A-Za-z]{9})?`);
  parts.push(literal(afterName), addArguments(grammar, tool));
  // The schema's rule ends with white space of its own.
  if (afterArguments !== "") parts.push(literal(afterArguments.trim()));
  return parts.join(" ");
}

function taggedBody(
  grammar: GrammarBuilder,
  body: TaggedBody,
  tool: Tool,
): string {
  const space = grammar.addJson("space");
  const { keys, required } = argumentsOf(tool.parameters);
  const members = keys?.map((key) => {
    const mark = literal(body.key.open + key + body.key.close);
    const value = taggedValue(grammar, body, tool, key);
    const name = `argument-${tool.name}-${key}`;
    const rule = grammar.addRule(name, `${mark} ${value} ${space}`);
    return required.has(key) ? rule : `${rule}?`;
  });
  const open = literal(body.beforeName + tool.name + body.afterName);
  const close = body.close === "" ? "" : literal(body.close);
  const all = members?.join(" ") ?? `(${anyArgument(grammar, body)} ${space})*`;
  return `${open} ${space} ${all} ${close}`;
}

/** Of a tool whose schema names none. */
function anyArgument(
  grammar: GrammarBuilder,
  { key, value, valueClose }: TaggedBody,
): string {
  const mark = `${literal(key.open)} [^<>"= \\n]{1,64} ${literal(key.close)}`;
  const open = value[0]?.open ?? "";
  const space = open.startsWith("<") ? grammar.addJson("space") : "";
  return `${mark} ${space} ${literal(open)} ${textUpTo(grammar, valueClose)}`;
}

function taggedValue(
  grammar: GrammarBuilder,
  { value, valueClose, isOnLines = false }: TaggedBody,
  tool: Tool,
  key: string,
): string {
  const isText = isOnlyText(argumentTypes(tool.parameters, key));
  const { open } = value.find(
    ({ says }) => says === undefined || says === (isText ? "text" : "json"),
  ) ?? { open: "" };
  // `<arg_value>` may stand on a line of its own.
  const space = open.startsWith("<") ? grammar.addJson("space") : "";
  const begin = `${space} ${literal(open)} ${isOnLines ? '"\\n"?' : ""}`;
  const choices = argumentChoices(tool.parameters, key);
  if (isText && choices !== undefined) {
    const line = isOnLines ? '"\\n"?' : "";
    return `${begin} (${choices.map(literal).join(" | ")}) ${line} ${literal(valueClose)}`;
  }
  if (isText) return `${begin} ${textUpTo(grammar, valueClose)}`;
  const schema = argumentSchema(tool.parameters, key);
  const held = addSchema(grammar, `value-${key}`, schema, "value", tool);
  return `${begin} ${held} ${literal(valueClose)}`;
}

/** The rule of a call's arguments as JSON. */
export const addArguments = (grammar: GrammarBuilder, tool: Tool): string =>
  tool.parameters === undefined
    ? grammar.addJson("object")
    : addSchema(
        grammar,
        `arguments-${tool.name}`,
        tool.parameters,
        "object",
        tool,
      );

/** What no grammar can hold is any JSON, unless the tool is strict. */
function addSchema(
  grammar: GrammarBuilder,
  name: string,
  schema: unknown,
  otherwise: "object" | "value",
  { strict }: Tool,
): string {
  try {
    return grammar.addSchema(name, schema);
  } catch (error) {
    if (strict === true || !isShoalError(error, "SCHEMA_UNSUPPORTED")) {
      throw error;
    }
    return grammar.addJson(otherwise);
  }
}
