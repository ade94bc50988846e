/** `shoal chat "…"`: one reply, streamed to the terminal. */
import { Command } from "commander";
import { GATEWAY_DEFAULTS } from "../gateway/index.ts";
import { decimal, option, wholeNumber, withCommon } from "./options.ts";
import { stopSignal } from "./run-role.ts";
import { streamChat } from "./stream-chat.ts";

interface ChatFlags {
  api: string;
  apiKey?: string;
  system?: string;
  maxTokens?: number;
  temperature?: number;
  seed?: number;
}

export function chatCommand(): Command {
  return withSampling(
    withCommon(
      new Command("chat").description("ask a swarm and stream its reply"),
    ),
  )
    .argument("<prompt>", "what to say")
    .addOption(
      option("--api <url>", "the gateway").default(
        `http://${GATEWAY_DEFAULTS.host}:${GATEWAY_DEFAULTS.port}`,
      ),
    )
    .addOption(option("--api-key <key>", "the gateway's key, if it wants one"))
    .addOption(option("--system <text>", "a system message"))
    .action(async (prompt: string, _, command: Command) => {
      const { api, apiKey, ...flags } = command.opts<ChatFlags>();
      const options = { signal: stopSignal(), apiKey };
      await streamChat(
        api.replace(/\/(v1\/?)?$/, ""),
        { prompt, ...flags },
        (text) => process.stdout.write(text),
        options,
      );
      process.stdout.write("\n");
    });
}

/** How to draw the reply. */
export function withSampling(command: Command, maxTokens?: number): Command {
  return command
    .addOption(
      option(
        "--max-tokens <n>",
        "tokens to generate at most",
        wholeNumber(1, 1 << 24),
      ).default(maxTokens),
    )
    .addOption(option("--temperature <t>", "0 is greedy", decimal(0, 2)))
    .addOption(
      option("--seed <n>", "same seed, same text", wholeNumber(0, 2 ** 32 - 1)),
    );
}
