/**
 * A small agent: a long system prompt, ten tools, and turns in which it calls one of them and hears its result. The model is of random weights, so it is
 * made to call; which tool, and with what, is its own choice.
 */
import assert from "node:assert/strict";

/** Of Hermes' form: tools in the first message, calls and results in marks. */
export const AGENT_TEMPLATE = `{%- if tools %}<|im_start|>system
{{ messages[0].content }}
# Tools
<tools>
{%- for tool in tools %}
{{ tool | tojson }}
{%- endfor %}
</tools>
For each call return <tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call><|im_end|>
{%- endif %}
{%- for m in messages[1:] %}
{%- if m.role == "tool" %}
<|im_start|>user
<tool_response>
{{ m.content }}
</tool_response><|im_end|>
{%- elif m.tool_calls %}
<|im_start|>assistant
{%- for call in m.tool_calls %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{%- else %}
<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
<|im_start|>assistant
{% endif %}`;

const CITIES = ["Oslo", "Rome", "Lima", "Cairo"];
const TOOLS = Array.from({ length: 10 }, (_, i) => ({
  type: "function",
  function: {
    name: `look_up_${i}`,
    description: `Looks up fact number ${i} of a city.`,
    parameters: {
      type: "object",
      properties: {
        city: { type: "string", enum: CITIES },
        days: { type: "integer", minimum: 1, maximum: 9 },
      },
      required: ["city", "days"],
      additionalProperties: false,
    },
  },
}));

interface Message {
  role: string;
  content: string | null;
  tool_calls?: readonly { id: string; function: { name: string } }[];
  tool_call_id?: string;
}

interface Answer {
  choices: [{ message: Message; finish_reason: string }];
  usage: {
    prompt_tokens: number;
    prompt_tokens_details: { cached_tokens: number };
    shoal: { first_token_ms: number };
  };
}

/** One request of the agent. */
export interface Turn {
  promptTokens: number;
  /** Of them, those that no stage had to compute. */
  cachedTokens: number;
  firstTokenMs: number;
}

/** Runs `turns` turns; each must be a call of a tool. `systemChars` is how long the system prompt is; of a vocabulary of bytes as many tokens. */
export async function runAgent(
  apiUrl: string,
  options: { turns: number; systemChars: number; name: string },
): Promise<Turn[]> {
  const { turns, systemChars, name } = options;
  const rule = `You are ${name}. Look up what you are asked for, and do not guess. `;
  const messages: Message[] = [
    {
      role: "system",
      content: rule.repeat(Math.ceil(systemChars / rule.length)),
    },
    { role: "user", content: "Where is it warmest next week?" },
  ];
  const taken: Turn[] = [];
  for (let turn = 0; turn < turns; turn++) {
    const { choices, usage } = await ask(apiUrl, messages);
    const [{ message, finish_reason: finish }] = choices;
    assert.equal(finish, "tool_calls");
    const [call, ...more] = message.tool_calls ?? [];
    assert.ok(call !== undefined && more.length === 0);
    assert.match(call.function.name, /^look_up_\d$/);
    messages.push(message, {
      role: "tool",
      tool_call_id: call.id,
      content: `Fact ${turn}: ${17 + turn} degrees.`,
    });
    taken.push({
      promptTokens: usage.prompt_tokens,
      cachedTokens: usage.prompt_tokens_details.cached_tokens,
      firstTokenMs: usage.shoal.first_token_ms,
    });
  }
  return taken;
}

async function ask(
  apiUrl: string,
  messages: readonly Message[],
): Promise<Answer> {
  const response = await fetch(`${apiUrl}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    signal: AbortSignal.timeout(300_000),
    body: JSON.stringify({
      messages,
      tools: TOOLS,
      tool_choice: "required",
      parallel_tool_calls: false,
      temperature: 0,
      max_tokens: 600,
    }),
  });
  const body = await response.text();
  assert.equal(response.status, 200, body);
  return JSON.parse(body) as Answer;
}
