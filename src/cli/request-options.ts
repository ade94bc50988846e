/** Which requests a gateway takes. */
import type { Command } from "commander";
import { option } from "./options.ts";

export interface RequestFlags {
  allowHost?: string[];
  strict?: boolean;
}

export function withRequests(command: Command): Command {
  return command
    .addOption(
      option(
        "--allow-host <name...>",
        "more host names under which the API may be asked without a key",
      ),
    )
    .addOption(
      option(
        "--strict",
        "refuse requests with unknown fields or another model's name",
      ),
    );
}

export function requestsOf({ allowHost, strict }: RequestFlags): {
  allowHosts?: string[];
  strict?: boolean;
} {
  return {
    ...(allowHost && { allowHosts: allowHost.map((n) => n.toLowerCase()) }),
    ...(strict !== undefined && { strict }),
  };
}
