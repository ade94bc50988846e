/** What nodes, seeders and `shoal get` let an operator set of their transfers. */
import type { Command } from "commander";
import type { TransferFlags } from "../weights/index.ts";
import { option } from "./options.ts";
import { port, someBytes, wholeNumber } from "./values.ts";

export type { TransferFlags } from "../weights/index.ts";

export function withTransfers(command: Command): Command {
  return command
    .optionsGroup("Transfer options:")
    .addOption(
      option(
        "--transfer-port <port>",
        "TCP port that serves weights, in addition to --listen; open it in the firewall (default: any)",
        port,
      ),
    )
    .addOption(
      option(
        "--upload-limit <rate>",
        "most bytes to send per second, such as 10MB (default: no limit)",
        someBytes,
      ),
    )
    .addOption(
      option(
        "--download-limit <rate>",
        "most bytes to receive per second, such as 10MB (default: no limit)",
        someBytes,
      ),
    )
    .addOption(
      option(
        "--upload-slots <n>",
        "peers served at the same time; others take turns (default: 8)",
        wholeNumber(1, 1024),
      ),
    );
}

/** Those of a command's options that are about transfers. */
export function transfersOf({
  transferPort,
  uploadLimit,
  downloadLimit,
  uploadSlots,
}: TransferFlags): TransferFlags {
  return { transferPort, uploadLimit, downloadLimit, uploadSlots };
}
