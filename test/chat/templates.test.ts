/**
 * Whole chat templates of models (test/jinja/templates), and the parts of others that write calls: which format each has, and that tools, a
 * call and its result reach the prompt.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  ChatTemplate,
  renderChat,
  type ChatMessage,
  type ChatRequest,
} from "../../src/chat/index.ts";
import { read, TOOLS } from "./support.ts";

const VOCABULARY = { bosText: "<s>", eosText: "</s>", addsBos: false };
const folder = join(import.meta.dirname, "../jinja/templates");
const modelTemplate = (name: string): string =>
  readFileSync(join(folder, `${name}.jinja`), "utf8");

/** Tools, messages, calls and results, written with what differs between templates. */
const written = (call: string, { before = "", after = "", more = "" } = {}) =>
  `{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}<{{ m.role }}>{{ m.content or "" }}` +
  `{% if m.tool_calls %}${before}{% for c in m.tool_calls %}{% set f = c.function %}${call}{% endfor %}${after}{% endif %}{% endfor %}` +
  `{% if add_generation_prompt %}<assistant>{% endif %}${more}`;
const ARGUMENTS = "{{ f.arguments | tojson }}";
const tagged = (mark: string): string =>
  `{% for k, v in f.arguments.items() %}${mark}{% endfor %}`;

/** Name, template, and a call of it as it is to be written by the template and read from the model. */
const TEMPLATES: [name: string, source: string, call: string][] = [
  ...(
    [
      [
        "gpt-oss",
        '<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "Bern"}',
      ],
      [
        "granite-3.3",
        '<|tool_call|>[{"name": "get_weather", "arguments": {"city": "Bern"}}]',
      ],
      [
        "hermes-2-pro",
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Bern"}}\n</tool_call>',
      ],
      ["llama-3.1", '{"name": "get_weather", "parameters": {"city": "Bern"}}'],
      [
        "mistral-nemo",
        '[TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Bern"}}]',
      ],
      [
        "qwen2.5",
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Bern"}}\n</tool_call>',
      ],
      [
        "qwen3",
        '<think>\nHm.\n</think>\n\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "Bern"}}\n</tool_call>',
      ],
      [
        "qwen3-coder",
        "<tool_call>\n<function=get_weather>\n<parameter=city>\nBern\n</parameter>\n</function>\n</tool_call>",
      ],
    ] as const
  ).map(([name, call]): [string, string, string] => [
    name,
    modelTemplate(name),
    call,
  ]),
  [
    "like Mistral Small 3.2",
    written(`[TOOL_CALLS]{{ f.name }}[CALL_ID]{{ c.id }}[ARGS]${ARGUMENTS}`),
    '[TOOL_CALLS]get_weather[ARGS]{"city": "Bern"}',
  ],
  [
    "like DeepSeek V3.1",
    written(
      `<｜tool▁call▁begin｜>{{ f.name }}<｜tool▁sep｜>${ARGUMENTS}<｜tool▁call▁end｜>`,
      { before: "<｜tool▁calls▁begin｜>", after: "<｜tool▁calls▁end｜>" },
    ),
    '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{"city": "Bern"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
  ],
  [
    "like DeepSeek V3",
    written(
      `<｜tool▁call▁begin｜>{{ c.type }}<｜tool▁sep｜>{{ f.name }}\n\`\`\`json\n${ARGUMENTS}\n\`\`\`<｜tool▁call▁end｜>`,
      { before: "<｜tool▁calls▁begin｜>", after: "<｜tool▁calls▁end｜>" },
    ),
    '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{"city": "Bern"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
  ],
  [
    "like DeepSeek V3.2",
    written(
      `<｜DSML｜invoke name="{{ f.name }}">\n${tagged('<｜DSML｜parameter name="{{ k }}" string="true">{{ v }}</｜DSML｜parameter>\n')}</｜DSML｜invoke>\n`,
      {
        before: "<｜DSML｜function_calls>\n",
        after: "</｜DSML｜function_calls>",
      },
    ),
    '<｜DSML｜function_calls>\n<｜DSML｜invoke name="get_weather">\n<｜DSML｜parameter name="city" string="true">Bern</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>',
  ],
  [
    "like Kimi K2",
    written(
      `<|tool_call_begin|>{{ c.id }}<|tool_call_argument_begin|>${ARGUMENTS}<|tool_call_end|>`,
      {
        before: "<|tool_calls_section_begin|>",
        after: "<|tool_calls_section_end|>",
      },
    ),
    '<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{"city": "Bern"}<|tool_call_end|><|tool_calls_section_end|>',
  ],
  [
    "like MiniMax M2",
    written(
      `<invoke name="{{ f.name }}">\n${tagged('<parameter name="{{ k }}">{{ v }}</parameter>\n')}</invoke>\n`,
      { before: "<minimax:tool_call>\n", after: "</minimax:tool_call>" },
    ),
    '<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="city">Bern</parameter>\n</invoke>\n</minimax:tool_call>',
  ],
  [
    "like GLM 4.5",
    written(
      `<tool_call>{{ f.name }}\n${tagged("<arg_key>{{ k }}</arg_key>\n<arg_value>{{ v }}</arg_value>\n")}</tool_call>`,
    ),
    "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Bern</arg_value>\n</tool_call>",
  ],
  [
    "like Command R7B",
    written(
      `{"tool_call_id": "0", "tool_name": "{{ f.name }}", "parameters": ${ARGUMENTS}}`,
      {
        before: "<|START_ACTION|>[",
        after: "]<|END_ACTION|>",
        more: "{# <|END_THINKING|> #}",
      },
    ),
    '<|START_THINKING|>Hm.<|END_THINKING|><|START_ACTION|>[{"tool_call_id": "0", "tool_name": "get_weather", "parameters": {"city": "Bern"}}]<|END_ACTION|>',
  ],
  [
    "like Functionary 3.1",
    written(`<function={{ f.name }}>${ARGUMENTS}</function>`),
    '<function=get_weather>{"city": "Bern"}</function>',
  ],
  // Templates that know calls, but no tools.
  [
    "command-r",
    modelTemplate("command-r"),
    'Action: ```json\n[{"tool_name": "get_weather", "parameters": {"city": "Bern"}}]```',
  ],
  [
    "deepseek-r1",
    modelTemplate("deepseek-r1"),
    '<think>Hm.</think><｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{"city": "Bern"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
  ],
  // Templates that know neither.
  [
    "gemma-3",
    modelTemplate("gemma-3"),
    '{"tool_calls": [{"name": "get_weather", "arguments": {"city": "Bern"}}]}',
  ],
  [
    "chatml",
    modelTemplate("chatml"),
    '{"tool_calls": [{"name": "get_weather", "arguments": {"city": "Bern"}}]}',
  ],
];

const REQUEST: ChatRequest = {
  messages: [{ role: "user", content: "How is the weather?" }],
  tools: TOOLS,
  toolChoice: "auto",
  parallelToolCalls: true,
};
const CALLED: ChatMessage = {
  role: "assistant",
  content: null,
  tool_calls: [
    {
      id: "abcdef123",
      type: "function",
      function: { name: "get_weather", arguments: '{"city": "Bern"}' },
    },
  ],
};
const RESULT: ChatMessage = {
  role: "tool",
  name: "get_weather",
  tool_call_id: "abcdef123",
  content: "Sunny in Bern, 21 degrees.",
};

for (const [name, source, call] of TEMPLATES) {
  const template = new ChatTemplate(source);
  const chat = (request: Partial<ChatRequest> = {}) =>
    renderChat(template, { ...REQUEST, ...request }, VOCABULARY);

  test(`${name}: a call is read`, () => {
    const { reader } = chat();
    const said = read(
      reader(() => 0.5),
      call,
    );
    assert.deepEqual(
      said.calls.map(({ name: tool, arguments: given }) => [
        tool,
        JSON.parse(given),
      ]),
      [["get_weather", { city: "Bern" }]],
    );
    assert.equal(said.content, "");
    const { reader: plain } = chat({ toolChoice: "none" });
    assert.deepEqual(read(plain(), call).calls, []);
  });

  test(`${name}: tools are told, and a call with its result`, () => {
    const { prompt } = chat();
    for (const tool of TOOLS) {
      assert.ok(prompt.includes(tool.name), prompt);
    }
    const messages = [...REQUEST.messages, CALLED, RESULT];
    const after = chat({ messages }).prompt;
    assert.ok(after.includes("Sunny in Bern"), after);
    assert.ok(after.length > prompt.length + 30);
  });
}

test("a model hears of tools that its template does not tell of, with a call as an example", () => {
  const template = new ChatTemplate(modelTemplate("deepseek-r1"));
  const { prompt } = renderChat(template, REQUEST, VOCABULARY);
  const example =
    '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>function_name\n```json\n{"argument":"value"}\n```<｜tool▁call▁end｜>';
  assert.ok(prompt.includes(`syntax:\n\n${example}`), prompt);
});

test("calls and results that a template would lose are told in words", () => {
  const template = new ChatTemplate(modelTemplate("gemma-3"));
  const messages = [...REQUEST.messages, CALLED, RESULT];
  const request = { ...REQUEST, messages, toolChoice: "none" } as const;
  const { prompt } = renderChat(template, request, VOCABULARY);
  assert.match(
    prompt,
    /"tool_calls": \[\s*\{\s*"id": "abcdef123",\s*"name": "get_weather"/,
  );
  assert.match(prompt, /user\n\{\s*"tool_response": \{[^}]*Sunny in Bern/);
});

test("calls have ids as the template takes them", () => {
  const idOf = (name: string, call: string): string | undefined => {
    const template = new ChatTemplate(modelTemplate(name));
    const { reader } = renderChat(template, REQUEST, VOCABULARY);
    return read(
      reader(() => 0.5),
      call,
    ).calls[0]?.id;
  };
  const object = '{"name": "get", "arguments": {}}';
  assert.match(
    idOf("mistral-nemo", `[TOOL_CALLS][${object}]`) ?? "",
    /^\w{9}$/,
  );
  assert.match(
    idOf("qwen3", `<tool_call>${object}</tool_call>`) ?? "",
    /^call_\w{24}$/,
  );
});

test("ids from elsewhere become what the template takes", () => {
  const template = new ChatTemplate(modelTemplate("mistral-nemo"));
  const id = "toolu_01A09q90qw90lq917835lq9";
  const call = {
    ...CALLED.tool_calls?.[0],
    function: { name: "get", arguments: "{}" },
    id,
  };
  const messages = [
    ...REQUEST.messages,
    { ...CALLED, tool_calls: [call] },
    { ...RESULT, tool_call_id: id },
  ];
  const { prompt } = renderChat(template, { ...REQUEST, messages }, VOCABULARY);
  const ids = [...prompt.matchAll(/"(?:id|call_id)": "(\w{9})"/g)].map(
    (match) => match[1],
  );
  assert.equal(ids.length, 2);
  assert.equal(ids[0], ids[1]);
});

test("control tokens within marks are preserved too", () => {
  const template = new ChatTemplate(modelTemplate("deepseek-r1"));
  const { preserved } = renderChat(template, REQUEST, VOCABULARY);
  for (const token of ["<｜tool▁sep｜>", "<｜tool▁call▁begin｜>", "</think>"]) {
    assert.ok(preserved.includes(token), preserved.join(" "));
  }
});

test("the reader's marks are preserved, and a call begins the grammar only where one is allowed", () => {
  const template = new ChatTemplate(modelTemplate("qwen3"));
  const chat = (request: Partial<ChatRequest>) =>
    renderChat(template, { ...REQUEST, ...request }, VOCABULARY);
  const { preserved, grammar } = chat({});
  assert.deepEqual(preserved, [
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
  ]);
  assert.deepEqual(grammar?.triggers, [{ kind: "word", text: "<tool_call>" }]);
  const required = chat({ toolChoice: "required" });
  assert.ok(required.grammar !== undefined);
  assert.equal(required.grammar.triggers, undefined);
  assert.equal(chat({ toolChoice: "none" }).grammar, undefined);
  assert.equal(chat({ tools: [] }).grammar, undefined);
});
