/** Bodies for Ollama's API as clients send them, and what each becomes: a status, the prompt, how tokens are drawn, what is refused by name. */
import type { SamplingOptions } from "../../src/engine/index.ts";

export interface OllamaCase {
  name: string;
  path?: "/api/chat" | "/api/generate";
  body: unknown;
  status?: number;
  prompt?: string;
  sampling?: Partial<SamplingOptions>;
  maxTokens?: number;
  /** Of the model, where the usual 100 are too few: a template without tools shows calls in words. */
  contextLength?: number;
  /** In the error. */
  says?: RegExp;
}

const user = { role: "user", content: "Hi" };
const HI = "<|user|>Hi</s><|assistant|>";
export const chat = (rest: object): object => ({
  model: "shoal-demo",
  messages: [user],
  ...rest,
});
const options = (given: object): object => chat({ options: given });
const generate = (rest: object): object => ({
  model: "shoal-demo",
  prompt: "Hi",
  ...rest,
});

export const OLLAMA_CASES: readonly OllamaCase[] = [
  { name: "a chat", body: chat({}), prompt: HI },
  {
    name: "by name and tag",
    body: chat({ model: "shoal-demo:latest" }),
    prompt: HI,
  },
  { name: "by manifest", body: chat({ model: "bafymanifest" }), prompt: HI },
  {
    name: "a role in capitals",
    body: chat({ messages: [{ role: "User", content: "Hi" }] }),
    prompt: HI,
  },
  {
    name: "a system message",
    body: chat({ messages: [{ role: "system", content: "Be kind" }, user] }),
    prompt: `<|system|>Be kind</s>${HI}`,
  },
  {
    name: "a message without content",
    body: chat({ messages: [{ role: "user" }] }),
    prompt: "<|user|></s><|assistant|>",
  },
  { name: "keep_alive as text", body: chat({ keep_alive: "5m" }), prompt: HI },
  {
    name: "keep_alive as a number",
    body: chat({ keep_alive: -1 }),
    prompt: HI,
  },
  {
    name: "truncate and shift",
    body: chat({ truncate: true, shift: false }),
    prompt: HI,
  },
  { name: "an unknown field", body: chat({ flavour: "mint" }), prompt: HI },
  {
    name: "fields that are null",
    body: chat({
      tools: null,
      format: null,
      options: null,
      think: null,
    }),
    prompt: HI,
  },
  {
    name: "images: none",
    body: chat({ messages: [{ ...user, images: [] }] }),
    prompt: HI,
  },
  { name: "no tools", body: chat({ tools: [] }), prompt: HI },
  { name: "think: false", body: chat({ think: false }), prompt: HI },
  { name: "think: true", body: chat({ think: true }), prompt: HI },
  { name: "think: a level", body: chat({ think: "medium" }), prompt: HI },
  { name: "format: empty", body: chat({ format: "" }), prompt: HI },
  {
    name: "Ollama's own defaults",
    body: options({}),
    sampling: {
      temperature: 0.8,
      topK: 40,
      topP: 0.9,
      minP: 0,
      repeatPenalty: 1,
      repeatLastN: 64,
    },
  },
  {
    name: "greedy",
    body: options({ temperature: 0, seed: 42 }),
    sampling: { temperature: 0, seed: 42 },
  },
  {
    name: "the usual options",
    body: options({ top_k: 20, top_p: 0.5, min_p: 0.1 }),
    sampling: { topK: 20, topP: 0.5, minP: 0.1 },
  },
  {
    name: "penalties",
    body: options({
      repeat_penalty: 1.2,
      presence_penalty: 1.5,
      frequency_penalty: 1,
    }),
    sampling: { repeatPenalty: 1.2, presencePenalty: 1.5, frequencyPenalty: 1 },
  },
  {
    name: "a penalty's reach",
    body: options({ repeat_last_n: 33 }),
    sampling: { repeatLastN: 33 },
  },
  {
    name: "a penalty over the whole context",
    body: options({ repeat_last_n: -1 }),
    sampling: { repeatLastN: 100 },
  },
  {
    name: "top_k: -1 is all",
    body: options({ top_k: -1 }),
    sampling: { topK: 0 },
  },
  {
    name: "a seed of 64 bits keeps its low ones",
    body: options({ seed: 2 ** 40 + 7 }),
    sampling: { seed: 7 },
  },
  {
    name: "a seed with a fraction",
    body: options({ seed: 7.9 }),
    sampling: { seed: 7 },
  },
  { name: "num_predict", body: options({ num_predict: 5 }), maxTokens: 5 },
  {
    name: "num_predict with a fraction",
    body: options({ num_predict: 5.5 }),
    maxTokens: 5,
  },
  {
    name: "num_predict: -1 is no limit",
    body: options({ num_predict: -1 }),
    maxTokens: 72,
  },
  {
    name: "num_predict: -2 fills the context",
    body: options({ num_predict: -2 }),
    maxTokens: 72,
  },
  {
    name: "num_predict: 0 is no limit",
    body: options({ num_predict: 0 }),
    maxTokens: 72,
  },
  {
    name: "options of the machine",
    body: options({
      num_ctx: 8192,
      num_gpu: 99,
      num_thread: 8,
      use_mmap: true,
      num_batch: 512,
      low_vram: false,
    }),
    prompt: HI,
  },
  { name: "an unknown option", body: options({ flavour: 1 }), prompt: HI },
  {
    name: "an option that is null",
    body: options({ temperature: null }),
    sampling: { temperature: 0.8 },
  },
  { name: "stop as a text", body: options({ stop: "there" }), prompt: HI },
  {
    name: "stop as a list with an empty one",
    body: options({ stop: ["", "there"] }),
    prompt: HI,
  },
  {
    name: "a call and its result, without ids",
    contextLength: 1000,
    body: chat({
      messages: [
        user,
        {
          role: "assistant",
          content: "",
          tool_calls: [
            { function: { name: "weather", arguments: { town: "Ulm" } } },
          ],
        },
        { role: "tool", tool_name: "weather", content: "sun" },
      ],
    }),
  },
  {
    name: "arguments as JSON",
    contextLength: 1000,
    body: chat({
      messages: [
        user,
        {
          role: "assistant",
          tool_calls: [
            { function: { name: "weather", arguments: '{"town":"Ulm"}' } },
          ],
        },
        { role: "tool", content: "sun" },
      ],
    }),
  },
  {
    name: "thoughts of an earlier turn",
    body: chat({
      messages: [
        user,
        { role: "assistant", content: "Yes", thinking: "Hm" },
        user,
      ],
    }),
  },
  {
    name: "a last message of the assistant is gone on with",
    body: chat({ messages: [user, { role: "assistant", content: "Once" }] }),
    prompt: `${HI}Once`,
  },
  { name: "a prompt", path: "/api/generate", body: generate({}), prompt: HI },
  {
    name: "a prompt with a system message",
    path: "/api/generate",
    body: generate({ system: "Be kind" }),
    prompt: `<|system|>Be kind</s>${HI}`,
  },
  {
    name: "a raw prompt",
    path: "/api/generate",
    body: generate({ raw: true }),
    prompt: "Hi",
  },
  {
    name: "an empty template, suffix and context",
    path: "/api/generate",
    body: generate({ template: "", suffix: "", context: [] }),
    prompt: HI,
  },
  {
    name: "a context of an older answer",
    path: "/api/generate",
    body: generate({ context: [1, 2, 3] }),
    prompt: HI,
  },
  {
    name: "options of a prompt",
    path: "/api/generate",
    body: generate({ options: { num_predict: 3, temperature: 0 } }),
    maxTokens: 3,
    sampling: { temperature: 0 },
  },

  {
    name: "a template",
    path: "/api/generate",
    body: generate({ template: "{{ .Prompt }}" }),
    status: 400,
    says: /`template` is not supported/,
  },
  {
    name: "a raw prompt with a system message",
    path: "/api/generate",
    body: generate({ raw: true, system: "x" }),
    status: 400,
    says: /`raw` does not go together/,
  },
  {
    name: "a suffix that the vocabulary cannot",
    path: "/api/generate",
    body: generate({ suffix: ")" }),
    status: 400,
    says: /cannot fill gaps/,
  },
  {
    name: "a prompt that is a list",
    path: "/api/generate",
    body: generate({ prompt: ["Hi"] }),
    status: 400,
    says: /`prompt` must be a string/,
  },
  {
    name: "images",
    body: chat({ messages: [{ ...user, images: ["aGk="] }] }),
    status: 400,
    says: /reads text only/,
  },
  {
    name: "images beside a prompt",
    path: "/api/generate",
    body: generate({ images: ["aGk="] }),
    status: 400,
    says: /reads text only/,
  },
  {
    name: "another role",
    body: chat({ messages: [{ role: "bard", content: "Hi" }] }),
    status: 400,
    says: /`messages\[0\].role` must be/,
  },
  {
    name: "messages that are none",
    body: chat({ messages: "Hi" }),
    status: 400,
    says: /`messages` must be a list/,
  },
  {
    name: "a format that is none",
    body: chat({ format: "yaml" }),
    status: 400,
    says: /`format` must be "json" or a JSON schema/,
  },
  {
    name: "a level that is none",
    body: chat({ think: "deeply" }),
    status: 400,
    says: /`think` must be true, false/,
  },
  {
    name: "a temperature that is a text",
    body: options({ temperature: "hot" }),
    status: 400,
    says: /`options.temperature` must be/,
  },
  {
    name: "too many stops",
    body: options({ stop: Array(65).fill("x") }),
    status: 400,
    says: /at most 64/,
  },
  {
    name: "a tool without a name",
    body: chat({ tools: [{ type: "function", function: {} }] }),
    status: 400,
    says: /`tools\[0\].function.name`/,
  },
  {
    name: "options that are a list",
    body: chat({ options: [1] }),
    status: 400,
    says: /`options` must be an object/,
  },
  {
    name: "a model that is a number",
    body: chat({ model: 1 }),
    status: 400,
    says: /`model` must be the name/,
  },
  { name: "no object", body: [], status: 400, says: /must be a JSON object/ },
  { name: "no JSON", body: "{", status: 400, says: /not valid JSON/ },
];
