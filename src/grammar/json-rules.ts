/** The rules of JSON itself, under the names that llama.cpp gives them. */

/** Each rule's text, and what it refers to. */
const JSON_RULES = {
  /** White space between tokens is bounded, or a model that likes it would write nothing else. */
  space: ['| " " | "\\n"{1,2} [ \\t]{0,20}', []],
  boolean: ['("true" | "false") space', ["space"]],
  null: ['"null" space', ["space"]],
  "integral-part": ['"0" | [1-9] [0-9]{0,15}', []],
  integer: ['"-"? integral-part space', ["integral-part", "space"]],
  // An exponent of three digits could be infinite.
  number: [
    '"-"? integral-part ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})? space',
    ["integral-part", "space"],
  ],
  // One code point. A surrogate is written only in a pair, so that a string's length is what its schema counts.
  char: [
    '[^"\\\\\\x7F\\x00-\\x1F] | "\\\\" (["\\\\bfnrt] | "u" ([0-9a-cA-CefEF] [0-9a-fA-F]{3} | [dD] [0-7] [0-9a-fA-F]{2} | [dD] [89abAB] [0-9a-fA-F]{2} "\\\\u" [dD] [c-fC-F] [0-9a-fA-F]{2}))',
    [],
  ],
  string: ['"\\"" char* "\\"" space', ["char", "space"]],
  object: [
    '"{" space (member ("," space member)*)? "}" space',
    ["member", "space"],
  ],
  member: ['string ":" space value', ["string", "space", "value"]],
  array: [
    '"[" space (value ("," space value)*)? "]" space',
    ["space", "value"],
  ],
  value: [
    "object | array | string | number | boolean | null",
    ["object", "array", "string", "number", "boolean", "null"],
  ],
} as const satisfies Record<
  string,
  readonly [body: string, uses: readonly string[]]
>;

export type JsonRule = keyof typeof JSON_RULES;

export function isJsonRule(name: string): name is JsonRule {
  return Object.hasOwn(JSON_RULES, name);
}

/** The rule's text and what it uses. */
export function jsonRule(
  name: JsonRule,
): readonly [body: string, uses: readonly JsonRule[]] {
  return JSON_RULES[name];
}
