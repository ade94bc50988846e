import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ChatTemplate,
  type ChatMessage,
  type RenderOptions,
} from "./chat-template.ts";

const TOKENS: RenderOptions = {
  bosToken: "<s>",
  eosToken: "</s>",
  tokenizerAddsBos: false,
};
const HELLO: ChatMessage = { role: "user", content: "hello" };
const BRIEF: ChatMessage = { role: "system", content: "Be brief." };
const PARTS: ChatMessage = {
  role: "user",
  content: [
    { type: "text", text: "one" },
    { type: "text", text: "two" },
  ],
};

const render = (
  source: string,
  messages: readonly ChatMessage[],
  options: Partial<RenderOptions> = {},
): string =>
  new ChatTemplate(source).render(messages, { ...TOKENS, ...options });

const each = (body: string): string =>
  `{% for m in messages %}${body}{% endfor %}`;

const WANTS_PARTS = {
  "an index": each("[{{ m.role }}] {{ m['content'][0]['text'] }}"),
  "a loop": each(
    "[{{ m.role }}] {% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %}",
  ),
  selectattr: each(
    "[{{ m.role }}] {% for p in m.content|selectattr('type', 'equalto', 'text') %}{{ p.text }}{% endfor %}",
  ),
  "an exception": each(
    "[{{ m.role }}] {% if m.content is string %}{{ raise_exception('parts, please') }}{% endif %}{{ m.content[0].text }}",
  ),
};

for (const [how, source] of Object.entries(WANTS_PARTS)) {
  test(`a template that reads parts by ${how} gets parts for a text`, () => {
    assert.equal(
      render(source, [BRIEF, HELLO]),
      "[system] Be brief.[user] hello",
    );
  });
}

test("parts are text, one line each, for a template that reads text", () => {
  assert.equal(render(each("{{ m.content }}"), [PARTS]), "one\ntwo");
  const either = each(
    "{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endif %}",
  );
  assert.equal(render(either, [HELLO]), "hello");
  assert.equal(render(either, [PARTS]), "one\ntwo");
  assert.equal(render(WANTS_PARTS["a loop"], [PARTS]), "[user] onetwo");
});

const SHOWS = each("<{{ m.role }}>{{ m.content }}\n");
const REFUSES = `{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}${SHOWS}`;
const IGNORES = each(
  "{% if m.role == 'user' %}[{{ m.content }}]{% elif m.role == 'assistant' %}{{ m.content }}{% endif %}",
);
const ANSWER: ChatMessage = { role: "assistant", content: "hi" };

const SYSTEM: Record<string, [string, ChatMessage[], string]> = {
  "is kept where it is shown": [
    SHOWS,
    [BRIEF, HELLO],
    "<system>Be brief.\n<user>hello\n",
  ],
  "goes into the next message where it is refused": [
    REFUSES,
    [BRIEF, HELLO],
    "<user>Be brief.\nhello\n",
  ],
  "goes into the next message where it is not shown": [
    IGNORES,
    [BRIEF, HELLO, ANSWER],
    "[Be brief.\nhello]hi",
  ],
  "goes into the message behind it": [
    IGNORES,
    [HELLO, ANSWER, BRIEF, HELLO],
    "[hello]hi[Be brief.\nhello]",
  ],
  "goes with others of its kind": [
    IGNORES,
    [BRIEF, BRIEF, HELLO],
    "[Be brief.\nBe brief.\nhello]",
  ],
  "is dropped alone": [IGNORES, [BRIEF], ""],
  "at the end becomes the user's": [
    IGNORES,
    [HELLO, ANSWER, BRIEF],
    "[hello]hi[Be brief.]",
  ],
  "as parts is text": [
    IGNORES,
    [{ ...PARTS, role: "system" }, HELLO],
    "[one\ntwo\nhello]",
  ],
};

for (const [what, [source, messages, want]] of Object.entries(SYSTEM)) {
  test(`a system message ${what}`, () => {
    assert.equal(render(source, messages), want);
  });
}

const call = (given: string | { city: string }): ChatMessage => ({
  role: "assistant",
  content: null,
  tool_calls: [{ type: "function", function: { name: "f", arguments: given } }],
});
const JSON_CALL = '{"city": "Bern"}';
const calls = (show: string): string =>
  each(`{% for c in m.tool_calls %}${show}{% endfor %}`);

test("a call's arguments are an object where the template wants one", () => {
  const writes = {
    [calls("{{ c.function.arguments|tojson }}")]: JSON_CALL,
    [calls(
      "{% for k, v in c.function.arguments.items() %}{{ k }}={{ v }}{% endfor %}",
    )]: "city=Bern",
    [calls(
      "{% set a = c.function.arguments %}{{ a if a is string else a|tojson }}",
    )]: JSON_CALL,
  };
  for (const [source, want] of Object.entries(writes)) {
    assert.equal(render(source, [HELLO, call(JSON_CALL)]), want);
    assert.equal(render(source, [HELLO, call({ city: "Bern" })]), want);
  }
  const asText = calls("{{ 'args: ' + c.function.arguments }}");
  assert.equal(render(asText, [HELLO, call(JSON_CALL)]), `args: ${JSON_CALL}`);
});

test("the content beside a call is null only where the template takes that", () => {
  const shown = (content: string): string =>
    each(
      `${content}{% for c in m.tool_calls %}{{ c.function.name }}{{ c.function.arguments|tojson }}{% endfor %}`,
    );
  const text = `hello|f${JSON_CALL}`;
  const messages = [HELLO, call(JSON_CALL)];
  assert.equal(
    render(shown("{{ m.content + '|' if not m.tool_calls }}"), messages),
    text,
  );
  assert.equal(
    render(shown("{{ '' + m.content }}"), messages),
    `hellof${JSON_CALL}`,
  );
  assert.equal(
    render(shown("{{ m.content }}"), messages),
    `hellof${JSON_CALL}`,
  );
  assert.equal(
    render(shown("{% if m.content is none %}0{% endif %}"), messages),
    `0f${JSON_CALL}`,
  );
});

test("tools, documents, thinking and other variables reach the template", () => {
  const source =
    "{{ tools|length }} {{ tools[0].function.name }} {{ documents[0].text }} {{ enable_thinking }} {{ effort }} {{ messages|length }}";
  const options = {
    tools: [{ type: "function", function: { name: "f" } }],
    documents: [{ text: "alpha" }],
    enableThinking: false,
    variables: { effort: "high", messages: "mine", enable_thinking: true },
  };
  assert.equal(
    new ChatTemplate(source).render([HELLO], { ...TOKENS, ...options }),
    "1 f alpha True high 1",
  );
  assert.equal(
    render(
      "{{ tools is defined }}{{ documents is defined }}{{ enable_thinking }}",
      [HELLO],
      { tools: [] },
    ),
    "FalseFalseTrue",
  );
});

test("a template for tools or documents is used where there are some", () => {
  const template = new ChatTemplate("default", {
    named: { tool_use: "with tools", rag: "with documents" },
  });
  const tools = [{ type: "function" }];
  const documents = [{ text: "x" }];
  assert.equal(template.render([HELLO], TOKENS), "default");
  assert.equal(template.render([HELLO], { ...TOKENS, tools: [] }), "default");
  assert.equal(template.render([HELLO], { ...TOKENS, tools }), "with tools");
  assert.equal(
    template.render([HELLO], { ...TOKENS, documents }),
    "with documents",
  );
  const only = new ChatTemplate("default", {
    named: { rag: "with documents" },
  });
  assert.equal(only.render([HELLO], { ...TOKENS, tools }), "default");
});

test("what a template supports is found by trial", () => {
  const found = (source: string): object =>
    new ChatTemplate(source).supports(TOKENS);
  const none = {
    systemRole: false,
    tools: false,
    toolCalls: false,
    toolResults: false,
  };
  assert.deepEqual(found(IGNORES), none);
  assert.deepEqual(found("{{ raise_exception('never') }}"), none);
  assert.deepEqual(found(SHOWS), {
    ...none,
    systemRole: true,
    toolResults: true,
  });
  assert.deepEqual(
    found(
      `{% if tools %}{{ tools|tojson }}{% endif %}${SHOWS}${calls("{{ c.function.name }}")}`,
    ),
    { systemRole: true, tools: true, toolCalls: true, toolResults: true },
  );
});
