/** Random schemas of the supported part: every text of a schema's grammar is JSON that fulfils the schema. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import * as fc from "fast-check";
import { TextGrammar } from "../../test/support/gbnf.ts";
import { Random } from "../../test/support/random.ts";
import {
  supportedSchemas,
  type AnySchema,
} from "../../test/support/schemas.ts";
import { isShoalError } from "../lib/index.ts";
import { checkGrammar, schemaToGrammar } from "./index.ts";

const SCHEMAS = 100;
const DRAWS = 6;
/** Nothing fulfils a few of them, and JSON schema does not say so. */
const MAX_REFUSED = SCHEMAS / 20;

/** The schema's grammar; undefined if it is refused. */
function grammarOf(schema: AnySchema): string | undefined {
  try {
    return schemaToGrammar(schema);
  } catch (thrown) {
    if (!isShoalError(thrown, "SCHEMA_UNSUPPORTED")) throw thrown;
    return undefined;
  }
}

test(`the texts of ${SCHEMAS} random schemas' grammars fulfil the schemas`, () => {
  const ajv = new Ajv2020({ strict: false, logger: false });
  addFormats.default(ajv);
  let refused = 0;
  const schemas = fc.sample(supportedSchemas, { seed: 15, numRuns: SCHEMAS });
  for (const [index, schema] of schemas.entries()) {
    const gbnf = grammarOf(schema);
    if (gbnf === undefined) {
      refused += 1;
      continue;
    }
    checkGrammar(gbnf);
    const validate = ajv.compile(schema);
    const grammar = new TextGrammar(gbnf);
    const random = new Random(15, `schema ${index}`);
    for (let i = 0; i < DRAWS; i++) {
      const text = grammar.draw(random, 200);
      assert.ok(
        validate(JSON.parse(text)),
        `${JSON.stringify(schema)} is not fulfilled by ${text}: ${ajv.errorsText(validate.errors)}`,
      );
    }
  }
  assert.ok(refused <= MAX_REFUSED, `${refused} were refused`);
});
