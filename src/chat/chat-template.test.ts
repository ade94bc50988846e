import assert from "node:assert/strict";
import { test } from "node:test";
import { isShoalError } from "../lib/index.ts";
import {
  ChatTemplate,
  MAX_TEMPLATE_CHARS,
  type ChatMessage,
} from "./chat-template.ts";

const TOKENS = { bosToken: "<s>", eosToken: "</s>", tokenizerAddsBos: false };
const TALK: ChatMessage[] = [
  { role: "system", content: "Be brief." },
  { role: "user", content: "Hello" },
  { role: "assistant", content: "Hi." },
  { role: "user", content: "Bye" },
];

const CHATML = `{%- for message in messages -%}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}`;

test("ChatML writes every message and begins the answer", () => {
  const template = new ChatTemplate(CHATML);
  assert.equal(
    template.render(TALK, TOKENS),
    "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n" +
      "<|im_start|>assistant\nHi.<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n",
  );
  const closed = template.render(TALK, {
    ...TOKENS,
    addGenerationPrompt: false,
  });
  assert.ok(closed.endsWith("Bye<|im_end|>\n"));
});

// Llama 2's: set, slices, tests, raise_exception, loop.index0, strip().
const LLAMA2 = `{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}
{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}
{% for message in loop_messages %}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}
{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}
{% else %}{% set content = message['content'] %}{% endif %}
{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}
{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}`;

test("Llama 2's template writes BOS and EOS between turns", () => {
  const text = new ChatTemplate(LLAMA2).render(TALK, TOKENS);
  assert.equal(
    text.replaceAll("\n", ""),
    "<s>[INST] <<SYS>>Be brief.<</SYS>>Hello [/INST] Hi. </s><s>[INST] Bye [/INST]",
  );
});

test("if the tokenizer adds BOS, the template's first BOS is removed, and only that one", () => {
  const template = new ChatTemplate(
    "{{ bos_token }}{% for m in messages %}{{ bos_token }}{{ m.content }}{% endfor %}",
  );
  const messages = [{ role: "user", content: "x" }];
  assert.equal(template.render(messages, TOKENS), "<s><s>x");
  const adding = { ...TOKENS, tokenizerAddsBos: true };
  assert.equal(template.render(messages, adding), "<s>x");
  assert.equal(template.render(messages, { ...adding, bosToken: "" }), "x");
});

test("a template's own refusal is reported in its words", () => {
  const twoUsers = [TALK[1]!, TALK[3]!];
  assert.throws(
    () => new ChatTemplate(LLAMA2).render(twoUsers, TOKENS),
    (error) =>
      isShoalError(error, "TEMPLATE_FAILED") &&
      error.message.includes("Conversation roles must alternate"),
  );
});

test("a template sees what llama.cpp shows it, the date in English and local time", () => {
  const clock = {
    now: () => new Date(2026, 1, 3, 14, 5, 6).getTime(),
    after: () => () => {},
  };
  const template = new ChatTemplate(
    "{{ date_string }}|{{ strftime_now('%A %a %d %B %b %Y %y %m %H:%I:%M:%S %p %% %Q') }}|" +
      "{{ tools is defined }}|{{ enable_thinking }}|{{ range(3)|join(',') }}|{{ none is none }}{{ True }}",
    { clock },
  );
  assert.equal(
    template.render([], TOKENS),
    "03 Feb 2026|Tuesday Tue 03 February Feb 2026 26 02 14:02:05:06 PM % %Q|False|True|0,1,2|TrueTrue",
  );
});

test("the role developer becomes system, unless the template knows it", () => {
  const messages = [{ role: "developer", content: "x" }];
  const roles =
    "{% for m in messages %}{{ m.role }}:{{ m.content }}{% endfor %}";
  assert.equal(new ChatTemplate(roles).render(messages, TOKENS), "system:x");
  const knows = new ChatTemplate(`${roles}{# developer #}`);
  assert.equal(knows.render(messages, TOKENS), "developer:x");
});

const doubled = (start: string, join: string): string =>
  `{% set ns = namespace(x=${start}) %}{% for i in range(40) %}{% set ns.x = ns.x ${join} ns.x %}{% endfor %}{{ ns.x|length }}`;

const HOSTILE = {
  "no Jinja": "{% if %}",
  "an unknown function": "{{ system('ls') }}",
  "an undefined message": "{{ messages[7].content.strip() }}",
  "a template that is too long": "x".repeat(MAX_TEMPLATE_CHARS + 1),
  "deep nesting": "{{ " + "(".repeat(100_000) + "1",
  "a huge range": "{{ range(1000000000)|length }}",
  "a range with step 0": "{{ range(0, 5, 0)|length }}",
  "text that doubles": doubled("'xx'", "~"),
  "a list that doubles": doubled("[1, 2]", "+"),
  "loops that take too long":
    "{% set r = range(100000) %}{% for a in r %}{% for b in r %}{% endfor %}{% endfor %}",
  // 2^41 numbers in one call of the library
  "a list of lists of lists": `{% set ns = namespace(x=[1, 2]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x|tojson }}`,
};

for (const [what, source] of Object.entries(HOSTILE)) {
  test(`a template with ${what} fails with its code and does not harm the process`, () => {
    assert.throws(
      () =>
        new ChatTemplate(source, { maxRenderMs: 300 }).render(
          [{ role: "user", content: "secret" }],
          TOKENS,
        ),
      (error) =>
        isShoalError(error, "TEMPLATE_FAILED") &&
        !error.message.includes("secret") &&
        error.message.length < 700,
    );
    assert.equal(new ChatTemplate("{{ 1 + 1 }}").render([], TOKENS), "2");
  });
}
