/** What a reply must be: OpenAI's `response_format`, and the fields that llama.cpp's server and vLLM have for it. */
import { z } from "zod";
import type { Hold } from "../../chat/index.ts";
import {
  checkGrammar,
  choiceToGrammar,
  regexToGrammar,
} from "../../grammar/index.ts";
import { invalid } from "../validate.ts";
import { anObject, text } from "./common-fields.ts";

/** A choice is a rule's alternative. */
const MAX_CHOICES = 1024;

const schema = z.union([z.record(z.string(), z.unknown()), z.boolean()], {
  error: "must be a JSON schema",
});
/** Also as JSON. */
const schemaOrJson = z.preprocess((value) => {
  if (typeof value !== "string") return value;
  try {
    return JSON.parse(value) as unknown;
  } catch {
    return value;
  }
}, schema);
const aString = text("must be a string");
const choices = z
  .array(aString, { error: "must be a list of strings" })
  .min(1, { error: "must have at least one choice" })
  .max(MAX_CHOICES, { error: `must have at most ${MAX_CHOICES} choices` });

const FORMAT = 'must have the type "text", "json_object" or "json_schema"';

export const holdShape = {
  response_format: z
    .object(
      {
        type: z.enum(["text", "json_object", "json_schema"], { error: FORMAT }),
        json_schema: z.object({ schema: schema.nullish() }).nullish(),
        /** llama.cpp's server has it here. */
        schema: schema.nullish(),
      },
      { error: anObject },
    )
    .nullish(),
  grammar: aString.nullish(),
  json_schema: schemaOrJson.nullish(),
  guided_json: schemaOrJson.nullish(),
  guided_regex: aString.nullish(),
  guided_choice: choices.nullish(),
  guided_grammar: aString.nullish(),
  /** vLLM's newer form of them. */
  structured_outputs: z
    .object(
      {
        json: schemaOrJson.nullish(),
        regex: aString.nullish(),
        choice: choices.nullish(),
        grammar: aString.nullish(),
      },
      { error: anObject },
    )
    .nullish(),
};

const fieldsSchema = z.object(holdShape);
type Fields = z.infer<typeof fieldsSchema>;

/** undefined if the reply is free. Throws REQUEST_INVALID, also if two fields ask for different things. */
export function holdOf(fields: Fields): Hold | undefined {
  const { structured_outputs: structured } = fields;
  const found: [param: string, hold: Hold | undefined][] = [
    ["response_format", formatHold(fields.response_format)],
    ["grammar", grammarHold(fields.grammar)],
    ["json_schema", schemaHold(fields.json_schema)],
    ["guided_json", schemaHold(fields.guided_json)],
    ["guided_regex", regexHold(fields.guided_regex)],
    ["guided_choice", choiceHold(fields.guided_choice)],
    ["guided_grammar", grammarHold(fields.guided_grammar)],
    ["structured_outputs", schemaHold(structured?.json)],
    ["structured_outputs", regexHold(structured?.regex)],
    ["structured_outputs", choiceHold(structured?.choice)],
    ["structured_outputs", grammarHold(structured?.grammar)],
  ];
  const asked = found.filter(([, hold]) => hold !== undefined);
  const [first, second] = asked;
  if (first !== undefined && second !== undefined)
    throw invalid(second[0], `cannot be combined with \`${first[0]}\``);
  return first?.[1];
}

function formatHold(format: Fields["response_format"]): Hold | undefined {
  if (!format || format.type === "text") return undefined;
  const its = format.json_schema?.schema ?? format.schema;
  if (its !== null && its !== undefined) return { kind: "schema", schema: its };
  if (format.type === "json_object") return { kind: "json" };
  throw invalid("response_format", "has the type json_schema but no schema");
}

/** An empty one is how clients leave it out. */
function schemaHold(its: Fields["json_schema"]): Hold | undefined {
  if (its === null || its === undefined) return undefined;
  const isEmpty = typeof its === "object" && Object.keys(its).length === 0;
  return isEmpty ? undefined : { kind: "schema", schema: its };
}

function grammarHold(gbnf: string | null | undefined): Hold | undefined {
  if (!gbnf) return undefined;
  checkGrammar(gbnf);
  return { kind: "gbnf", gbnf };
}

function regexHold(regex: string | null | undefined): Hold | undefined {
  return regex ? { kind: "gbnf", gbnf: regexToGrammar(regex) } : undefined;
}

function choiceHold(choices: string[] | null | undefined): Hold | undefined {
  if (!choices) return undefined;
  return { kind: "gbnf", gbnf: choiceToGrammar(choices) };
}
