import type { CallFormat, ObjectBody } from "./format.ts";

const HERMES_BODY: ObjectBody = {
  kind: "object",
  name: "name",
  arguments: ["arguments", "parameters"],
};

/**
 * In the order in which a template is asked for them: the first that it writes is its own. The marks are those of the models' own templates
 * and of llama.cpp's handlers (common/chat.cpp, tests/test-chat.cpp).
 */
export const CALL_FORMATS: readonly CallFormat[] = [
  {
    name: "dsml", // DeepSeek V3.2
    written: [/｜DSML｜invoke/],
    section: {
      open: "<｜DSML｜function_calls>",
      close: "</｜DSML｜function_calls>",
    },
    call: { open: "", close: "" },
    body: {
      kind: "tagged",
      beforeName: '<｜DSML｜invoke name="',
      afterName: '">',
      key: { open: '<｜DSML｜parameter name="', close: '"' },
      value: [
        { open: ' string="true">', says: "text" },
        { open: ' string="false">', says: "json" },
      ],
      valueClose: "</｜DSML｜parameter>",
      close: "</｜DSML｜invoke>",
    },
  },
  {
    name: "minimax-m2",
    written: [/<minimax:tool_call>/],
    section: { open: "<minimax:tool_call>", close: "</minimax:tool_call>" },
    call: { open: "", close: "" },
    body: {
      kind: "tagged",
      beforeName: '<invoke name="',
      afterName: '">',
      key: { open: '<parameter name="', close: '">' },
      value: [{ open: "" }],
      valueClose: "</parameter>",
      close: "</invoke>",
    },
  },
  {
    name: "seed-oss",
    written: [/<seed:tool_call>/],
    call: { open: "<seed:tool_call>", close: "</seed:tool_call>" },
    body: {
      kind: "tagged",
      beforeName: "<function=",
      afterName: ">",
      key: { open: "<parameter=", close: ">" },
      value: [{ open: "" }],
      valueClose: "</parameter>",
      isOnLines: true,
      close: "</function>",
    },
  },
  {
    name: "kimi-k2",
    written: [/<\|tool_calls_section_begin\|>/, /<\|tool_call_begin\|>/],
    section: {
      open: "<|tool_calls_section_begin|>",
      close: "<|tool_calls_section_end|>",
    },
    call: { open: "<|tool_call_begin|>", close: "<|tool_call_end|>" },
    body: {
      kind: "named",
      beforeName: "functions.",
      isNumbered: true,
      afterName: "<|tool_call_argument_begin|>",
    },
  },
  {
    name: "deepseek-r1", // and V3
    written: [/<｜tool▁call▁begin｜>/, /```json/],
    section: {
      open: "<｜tool▁calls▁begin｜>",
      close: "<｜tool▁calls▁end｜>",
    },
    call: { open: "<｜tool▁call▁begin｜>", close: "<｜tool▁call▁end｜>" },
    body: {
      kind: "named",
      beforeName: "function<｜tool▁sep｜>",
      afterName: "\n```json\n",
      afterArguments: "\n```",
    },
  },
  {
    name: "deepseek-v3.1",
    written: [/<｜tool▁call▁begin｜>/],
    section: {
      open: "<｜tool▁calls▁begin｜>",
      close: "<｜tool▁calls▁end｜>",
    },
    call: { open: "<｜tool▁call▁begin｜>", close: "<｜tool▁call▁end｜>" },
    body: { kind: "named", afterName: "<｜tool▁sep｜>" },
  },
  {
    name: "mistral", // Devstral, Magistral, Ministral, Small 3.2
    written: [/\[TOOL_CALLS\]/, /\[ARGS\]/],
    call: { open: "[TOOL_CALLS]", close: "" },
    body: {
      kind: "named",
      id: "[CALL_ID]",
      afterName: "[ARGS]",
    },
    hasShortIds: true,
  },
  {
    name: "mistral-nemo",
    written: [/\[TOOL_CALLS\]/],
    section: { open: "[TOOL_CALLS]", close: "" },
    isList: true,
    call: { open: "", close: "" },
    body: { ...HERMES_BODY, id: { key: "id", isFirst: false } },
    hasShortIds: true,
  },
  {
    name: "command-r7b",
    written: [/<\|START_ACTION\|>/],
    section: { open: "<|START_ACTION|>", close: "<|END_ACTION|>" },
    isList: true,
    call: { open: "", close: "" },
    body: {
      kind: "object",
      name: "tool_name",
      arguments: ["parameters"],
      id: { key: "tool_call_id", isFirst: true },
    },
  },
  {
    name: "command-r",
    written: [/Action:/, /```json/, /tool_name/],
    section: { open: "Action: ```json", close: "```" },
    isList: true,
    call: { open: "", close: "" },
    body: { kind: "object", name: "tool_name", arguments: ["parameters"] },
  },
  {
    name: "phi-4-mini",
    written: [/<\|tool_call\|>/, /<\|\/tool_call\|>/],
    section: { open: "<|tool_call|>", close: "<|/tool_call|>" },
    isList: true,
    call: { open: "", close: "" },
    body: HERMES_BODY,
  },
  {
    name: "granite",
    written: [/<\|tool_call\|>/],
    section: { open: "<|tool_call|>", close: "" },
    isList: true,
    call: { open: "", close: "" },
    body: HERMES_BODY,
  },
  {
    name: "glm",
    written: [/<arg_key>/, /<arg_value>/],
    call: { open: "<tool_call>", close: "</tool_call>" },
    body: {
      kind: "tagged",
      beforeName: "",
      afterName: "",
      key: { open: "<arg_key>", close: "</arg_key>" },
      value: [{ open: "<arg_value>" }],
      valueClose: "</arg_value>",
      close: "",
    },
  },
  {
    name: "qwen3-coder",
    written: [/<tool_call>/, /<function=/, /<parameter=/],
    call: { open: "<tool_call>", close: "</tool_call>" },
    isOpenOptional: true,
    body: {
      kind: "tagged",
      beforeName: "<function=",
      afterName: ">",
      key: { open: "<parameter=", close: ">" },
      value: [{ open: "" }],
      valueClose: "</parameter>",
      isOnLines: true,
      close: "</function>",
    },
  },
  {
    name: "nemotron-v2",
    written: [/<TOOLCALL>/],
    section: { open: "<TOOLCALL>", close: "</TOOLCALL>" },
    isList: true,
    call: { open: "", close: "" },
    body: HERMES_BODY,
  },
  {
    name: "apriel",
    written: [/<tool_calls>\[/],
    section: { open: "<tool_calls>", close: "</tool_calls>" },
    isList: true,
    call: { open: "", close: "" },
    body: HERMES_BODY,
  },
  {
    name: "firefunction",
    written: [/ functools\[/],
    section: { open: "functools", close: "" },
    isList: true,
    call: { open: "", close: "" },
    body: HERMES_BODY,
  },
  {
    name: "functionary-v3.1",
    written: [/<function=/],
    call: { open: "<function=", close: "</function>" },
    body: { kind: "named", afterName: ">" },
  },
  {
    name: "hermes", // Qwen 2.5 and 3, Granite 4, and many more
    written: [/<tool_call>/],
    call: { open: "<tool_call>", close: "</tool_call>" },
    body: HERMES_BODY,
  },
  {
    name: "llama-3",
    written: [/"parameters": /, /<\|start_header_id\|>|<\|header_start\|>/],
    call: { open: "<|python_tag|>", close: "" },
    isBare: true,
    body: {
      kind: "object",
      name: "name",
      arguments: ["parameters", "arguments"],
    },
  },
];
