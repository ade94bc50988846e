/** How long a gateway lets requests wait for the cluster. */
import type { Command } from "commander";
import { READY_DEFAULTS, RECOVERY_DEFAULTS } from "../roles/index.ts";
import { option } from "./options.ts";
import { wholeNumber } from "./values.ts";

/** In seconds. */
export interface PatienceFlags {
  readyTimeout: number;
  recoveryTimeout: number;
}

const MAX_S = 3600;

export function withPatience(command: Command): Command {
  return command
    .addOption(
      option(
        "--ready-timeout <s>",
        "seconds that a request waits while the cluster is not ready; 0 fails at once",
        wholeNumber(0, MAX_S),
      ).default(READY_DEFAULTS.timeoutMs / 1000),
    )
    .addOption(
      option(
        "--recovery-timeout <s>",
        "seconds that a reply waits after a machine was lost, until others go on with it; 0 fails at once",
        wholeNumber(0, MAX_S),
      ).default(RECOVERY_DEFAULTS.timeoutMs / 1000),
    );
}
