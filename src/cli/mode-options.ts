/** How the stages compute, for the commands that choose it. */
import type { Command } from "commander";
import {
  BATCH_MODES,
  type BatchMode,
  KV_TYPES,
  type KvType,
} from "../lib/index.ts";
import { option } from "./options.ts";

export interface ModeFlags {
  kv?: KvType;
  batch?: BatchMode;
}

/** To the group of options that the command added last. `otherwise` says what holds without them. */
export function withMode(
  command: Command,
  otherwise: { kv: string; batch: string } = { kv: "f16", batch: "exact" },
): Command {
  return command
    .addOption(
      option(
        "--kv <type>",
        `type of keys and values: f16 is llama.cpp's default, bf16 makes replies independent of what else runs, q8_0 too and halves their memory (default: ${otherwise.kv})`,
      ).choices([...KV_TYPES]),
    )
    .addOption(
      option(
        "--batch <mode>",
        `sessions that share a decode: exact only where no bit of a reply changes, fast wherever it saves time, off never (default: ${otherwise.batch})`,
      ).choices([...BATCH_MODES]),
    );
}
