/** What nodes, seeders and `shoal get` let an operator set of their transfers. */
import type { Command } from "commander";
import type { TransferFlags } from "../weights/index.ts";
import { option, port, someBytes, wholeNumber } from "./options.ts";

export type { TransferFlags } from "../weights/index.ts";

export function withTransfers(command: Command): Command {
  return command
    .addOption(
      option(
        "--transfer-port <port>",
        "TCP port that weights are served on, beside --listen (default: any; open it in the firewall)",
        port,
      ),
    )
    .addOption(
      option(
        "--upload-limit <rate>",
        "bytes per second, such as 10MB (default: none)",
        someBytes,
      ),
    )
    .addOption(
      option(
        "--download-limit <rate>",
        "bytes per second, such as 10MB (default: none)",
        someBytes,
      ),
    )
    .addOption(
      option(
        "--upload-slots <n>",
        "peers served at once; others take turns (default: 8)",
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
