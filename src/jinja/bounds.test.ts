import assert from "node:assert/strict";
import { test } from "node:test";
import { JinjaError, JinjaTemplate, type Json } from "./index.ts";

const render = (source: string, variables: Record<string, Json> = {}): string =>
  new JinjaTemplate(source).render(variables, { now: new Date(0) });

const nested = (open: string, close: string, count: number): string =>
  `{{ ${open.repeat(count)}1${close.repeat(count)} }}`;

/** 2^40 of something, if it were made. */
const doubled = (start: string, next: string): string =>
  `{% set ns = namespace(x=${start}) %}{% for i in range(40) %}{% set ns.x = ${next} %}{% endfor %}`;

const HOSTILE: Record<string, [source: string, says: RegExp]> = {
  "brackets without end": ["{{ " + "[".repeat(100_000), /brackets/],
  "signs without end": ["{{ " + "-".repeat(100_000) + "1 }}", /nested/],
  "not without end": ["{{ " + "not ".repeat(100_000) + "1 }}", /nested/],
  "blocks without end": ["{% if 1 %}".repeat(100_000), /nested/],
  "nested parentheses": [nested("(", ")", 10_000), /brackets/],
  "a text that doubles": [doubled("'xx'", "ns.x ~ ns.x"), /text of more/],
  "a sum that doubles": [
    doubled("'xx'", "ns.x + ns.x") + "{{ ns.x }}",
    /text of more/,
  ],
  "a repeated text": ["{{ 'x' * 1000000000 }}", /text of more/],
  "a repeated list": ["{{ ([1] * 1000000000)|length }}", /list of more/],
  "a repeated empty list": [
    "{{ ([] * 1000000000)|length }}{{ 1 / 0 }}",
    /zero/,
  ],
  "a wide field": ["{{ '%999999999d' % 1 }}", /text of more/],
  "a wide format": ["{{ '{:999999999}'.format(1) }}", /text of more/],
  "a wide center": ["{{ 'a'.center(999999999) }}", /text of more/],
  "a wide indent": ["{{ 'a\nb'|indent(999999999) }}", /too wide/],
  "wide JSON": ["{{ [1]|tojson(indent=999999999) }}", /indent/],
  "wide tabs": ["{{ '\t'.expandtabs(999999999) }}", /text of more/],
  "wide replacements": [
    "{{ ('a' * 8000000).replace('a', 'b' * 1000) }}",
    /text of more/,
  ],
  "wide joins": ["{{ ('a' * 1000000).join('b' * 1000) }}", /text of more/],
  "a list in a list, printed": [
    doubled("[1]", "[ns.x, ns.x]") + "{{ ns.x }}",
    /text of more/,
  ],
  "a list in a list as JSON": [
    doubled("[1]", "[ns.x, ns.x]") + "{{ ns.x|tojson }}",
    /text of more/,
  ],
  "a deep list, printed": [
    `{% set ns = namespace(x=1) %}{% for i in range(1000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}`,
    /deep/,
  ],
  "a great power": ["{{ 10 ** (10 ** 10) }}", /too large/],
  "powers of powers": [doubled("3", "ns.x * ns.x"), /too large/],
  "a great range": ["{{ range(1000000000)|length }}", /range/],
  "loops in loops": [
    "{% set r = range(100000) %}{% for a in r %}{% for b in r %}{% endfor %}{% endfor %}",
    /steps/,
  ],
  "a macro that calls itself": [
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    /calls itself/,
  ],
  "a loop that calls itself": [
    "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    /calls itself/,
  ],
  "text that is read again and again": [
    "{% set t = 'x' * 8000000 %}{% for i in range(100000) %}{% set u = t.upper() %}{% endfor %}",
    /characters/,
  ],
};

for (const [what, [source, says]] of Object.entries(HOSTILE)) {
  test(`a template with ${what} is refused before it takes memory`, () => {
    const before = process.memoryUsage().rss;
    assert.throws(
      () => render(source),
      (error) => {
        assert.ok(error instanceof JinjaError, String(error));
        assert.match(error.message, says);
        return true;
      },
    );
    assert.ok(process.memoryUsage().rss - before < 1024 ** 3);
  });
}

test("no name of a template reaches JavaScript's objects", () => {
  const names =
    "__proto__ constructor prototype toString valueOf hasOwnProperty __defineGetter__ __lookupGetter__ length call apply bind caller typeName items entries render budget".split(
      " ",
    );
  const values =
    "'a' 1 1.5 true none [] {} (1,) range(1) range namespace() m loop x.items d.keys()".split(
      " ",
    );
  const variables = { d: { a: 1 }, x: { a: [1] } };
  for (const name of names) {
    assert.equal(render(`{{ ${name} is defined }}`, variables), "False", name);
    for (const value of values) {
      const head = "{% macro m() %}{% endmacro %}{% for y in [1] %}";
      const known =
        (name === "items" && value === "{}") ||
        (name === "length" && value === "loop") ||
        (name === "caller" && value === "m");
      for (const way of [`.${name}`, `['${name}']`, `|attr('${name}')`]) {
        assert.equal(
          render(
            `${head}{{ (${value})${way} is defined }}{% endfor %}`,
            variables,
          ),
          known ? "True" : "False",
          value + way,
        );
      }
    }
  }
});

test("keys such as __proto__ are keys like others", () => {
  const weird = JSON.parse('{"__proto__": {"a": 1}, "constructor": 2}') as Json;
  const source =
    "{{ w }}|{{ w['__proto__'].a }}|{{ w.constructor }}|{{ w|tojson }}|{{ {}.a is defined }}";
  assert.equal(
    render(source, { w: weird }),
    `{'__proto__': {'a': 1}, 'constructor': 2}|1|2|{"__proto__": {"a": 1}, "constructor": 2}|False`,
  );
});

test("what a template changes of one rendering is not seen by the next", () => {
  const template = new JinjaTemplate(
    "{% set ns = namespace(n=0) %}{% set ns.n = ns.n + 1 %}{{ ns.n }}{{ x is defined }}{% set x = 1 %}",
  );
  const settings = { now: new Date(0) };
  assert.equal(template.render({}, settings), "1False");
  assert.equal(template.render({}, settings), "1False");
});

test("an error names the template's line and no message's words", () => {
  const failing = "{% set m = messages[0] %}\n{{ m.content.nothing.more }}";
  assert.throws(
    () => render(failing, { messages: [{ content: "secret" }] }),
    (error) => error instanceof JinjaError && !error.message.includes("secret"),
  );
  assert.throws(() => render("a\n{% if %}"), /line 2 of the template/);
});
