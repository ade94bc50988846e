/**
 * Jinja2's answers, as data: a battery of one-line templates, and whole chat templates with conversations. `battery.py` and
 * `conversations.py` write them; `judge.py` is the environment.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  JinjaError,
  JinjaTemplate,
  TemplateRefusal,
  type Json,
} from "../../src/jinja/index.ts";

type Variables = Record<string, Json>;
interface Answer {
  template: string;
  want?: string;
  /** Python's exception. */
  error?: string;
}

const read = (name: string): string =>
  readFileSync(join(import.meta.dirname, name), "utf8");
const lines = <T>(name: string): T[] =>
  read(name)
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as T);

/** As in judge.py. */
const settings = { now: new Date(2026, 1, 3, 14, 5, 6), random: () => 0.5 };

/** What is not as in Jinja2: undefined if all is. */
function difference(
  source: string,
  variables: Variables,
  { want, error }: Answer,
): string | undefined {
  let got: string;
  try {
    got = new JinjaTemplate(source).render(variables, settings);
  } catch (failure) {
    assert.ok(failure instanceof JinjaError, String(failure));
    const isRefusal = failure instanceof TemplateRefusal;
    if (error !== undefined) {
      return isRefusal === (error === "TemplateError")
        ? undefined
        : `${error}, but here: ${failure.message}`;
    }
    return `wanted ${JSON.stringify(want)}, failed: ${failure.message}`;
  }
  if (got === want) return undefined;
  return `wanted ${JSON.stringify(want ?? error)}, got ${JSON.stringify(got)}`;
}

test("each template of the battery gives what Jinja2 gives", () => {
  const [{ context }, ...answers] = lines("battery.jsonl") as [
    { context: Variables },
    ...Answer[],
  ];
  assert.ok(answers.length > 600, `${answers.length} templates`);
  const wrong = answers.flatMap((answer) => {
    const what = difference(answer.template, context, answer);
    return what === undefined ? [] : [`${answer.template}: ${what}`];
  });
  assert.deepEqual(wrong, []);
});

test("each whole chat template renders each conversation as Jinja2 does", () => {
  const conversations = new Map(
    lines<{ name: string; given: Variables }>("conversations.jsonl").map(
      ({ name, given }) => [name, given],
    ),
  );
  const answers = lines<Answer & { conversation: string }>("rendered.jsonl");
  assert.ok(answers.length > 300, `${answers.length} renderings`);
  const wrong = answers.flatMap((answer) => {
    const { template, conversation } = answer;
    const variables = {
      bos_token: "<s>",
      eos_token: "</s>",
      add_generation_prompt: true,
      ...conversations.get(conversation),
    };
    const what = difference(read(`templates/${template}`), variables, answer);
    return what === undefined ? [] : [`${template}, ${conversation}: ${what}`];
  });
  assert.deepEqual(wrong, []);
});
