/** `shoal chat "…"`: one reply, streamed to the terminal; without a prompt, in a terminal, a conversation. */
import { addAbortSignal } from "node:stream";
import { Command } from "commander";
import { GATEWAY_DEFAULTS } from "../gateway/index.ts";
import { ShoalError } from "../lib/index.ts";
import { Conversation } from "./conversation.ts";
import { converse } from "./converse.ts";
import { common, examples, option } from "./options.ts";
import { printJson } from "./output.ts";
import { printReply, WaitingLine } from "./print-reply.ts";
import { stopSignal } from "./run-role.ts";
import {
  type ChatListener,
  type ChatResult,
  streamChat,
} from "./stream-chat.ts";
import { decimal, url, wholeNumber } from "./values.ts";

interface ChatFlags {
  api: string;
  apiKey?: string;
  model?: string;
  system?: string;
  maxTokens?: number;
  temperature?: number;
  seed?: number;
  json?: boolean;
}

export function chatCommand(): Command {
  const command = new Command("chat")
    .description("ask a cluster and stream its reply, or talk with it")
    .argument(
      "[prompt...]",
      'what to ask; nothing begins a conversation in a terminal; "-", or nothing in a pipe, reads it from standard input',
    )
    .optionsGroup("Chat options:")
    .addOption(
      option("--api <url>", "URL of the gateway", apiUrl).default(
        `http://${GATEWAY_DEFAULTS.host}:${GATEWAY_DEFAULTS.port}`,
      ),
    )
    .addOption(option("--api-key <key>", "key of the gateway, if it needs one"))
    .addOption(
      option(
        "--model <name>",
        "one of the models that the gateway serves (default: the first)",
      ),
    )
    .addOption(option("--system <text>", "system message"))
    .addOption(option("--json", "print the reply and its numbers as JSON"));
  return examples(
    withSampling(command),
    "shoal chat",
    'shoal chat "How do I add a node?"',
    "git diff | shoal chat --system 'Describe this change.'",
  ).action(async (words: string[], _, command: Command) => {
    const { api, apiKey, json, system, ...request } = command.opts<ChatFlags>();
    const { ascii } = common(command);
    if (words.length === 0 && process.stdin.isTTY) {
      if (json === true)
        throw new ShoalError("USAGE", '--json needs a prompt: shoal chat "…"');
      await converse({ api, apiKey, system, request, ascii });
      return;
    }
    const signal = stopSignal();
    const prompt = await promptOf(words, signal);
    const conversation = new Conversation(system);
    conversation.ask(prompt);
    const messages = conversation.messages();
    const options = { signal, apiKey };
    const asking: Asking = (listener) =>
      streamChat(api, { ...request, messages }, listener, options);
    if (json === true) {
      await printJson(await collected(asking, { ascii }));
      return;
    }
    await printReply(asking, { ascii });
  });
}

type Asking = (listener: ChatListener) => Promise<ChatResult>;

/** A reply with its text; a terminal sees what it waits for. */
async function collected(
  asking: Asking,
  { ascii }: { ascii: boolean },
): Promise<ChatResult & { text: string; reasoning?: string }> {
  let [text, reasoning] = ["", ""];
  const line = new WaitingLine(process.stderr, { ascii, isBelow: () => false });
  try {
    const result = await asking({
      onText: (part) => (text += part),
      onReasoning: (part) => (reasoning += part),
      onWaiting: (what) => line.show(what),
    });
    return { text, ...(reasoning !== "" && { reasoning }), ...result };
  } finally {
    line.show(undefined);
  }
}

/** How to sample the reply. */
export function withSampling(command: Command, maxTokens?: number): Command {
  return command
    .optionsGroup("Sampling options:")
    .addOption(
      option(
        "--max-tokens <n>",
        "most tokens to generate",
        wholeNumber(1, 1 << 24),
      ).default(maxTokens),
    )
    .addOption(
      option(
        "--temperature <t>",
        "0 (always the likeliest token) to 2",
        decimal(0, 2),
      ),
    )
    .addOption(
      option(
        "--seed <n>",
        "the same seed gives the same text; -1 is a random one",
        wholeNumber(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
      ),
    );
}

/** The gateway's base URL, however it was written: with or without a scheme, /v1 or a slash. */
function apiUrl(text: string): string {
  const { origin, pathname } = url(text);
  return origin + pathname.replace(/\/+$/, "").replace(/\/v1$/, "");
}

async function promptOf(
  words: readonly string[],
  signal: AbortSignal,
): Promise<string> {
  const isGiven = words.length > 0 && !(words.length === 1 && words[0] === "-");
  const prompt = isGiven ? words.join(" ") : await readInput(signal);
  if (prompt.trim() === "")
    throw new ShoalError("USAGE", 'the prompt is empty: shoal chat "…"');
  return prompt;
}

/** Standard input, without the line break at its end. */
async function readInput(signal: AbortSignal): Promise<string> {
  const limit = GATEWAY_DEFAULTS.bodyLimitBytes;
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  try {
    for await (const chunk of addAbortSignal(signal, process.stdin)) {
      chunks.push(chunk as Buffer);
      sizeBytes += (chunk as Buffer).length;
      if (sizeBytes > limit)
        throw new ShoalError(
          "REQUEST_TOO_LARGE",
          `the prompt is longer than ${limit} bytes`,
        );
    }
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
  return Buffer.concat(chunks)
    .toString("utf8")
    .replace(/\r?\n$/, "");
}
