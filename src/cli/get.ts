/** `shoal get`: fetches any listed file; without a name, tells what there is. */
import { Command } from "commander";
import { formatBytes } from "../lib/index.ts";
import { getFile } from "../roles/index.ts";
import {
  common,
  type MembershipFlags,
  membershipOf,
  option,
  withCommon,
  withMembership,
} from "./options.ts";
import { newEvents, stopSignal } from "./run-role.ts";
import {
  type TransferFlags,
  transfersOf,
  withTransfers,
} from "./transfer-options.ts";

interface GetFlags extends MembershipFlags, TransferFlags {
  out?: string;
}

export function getCommand(): Command {
  const command = new Command("get").description(
    "fetch a file that a cluster shares; without a name, list them",
  );
  return withTransfers(withCommon(withMembership(command)))
    .argument("[name]", "the content's root, or its name")
    .addOption(
      option("--out <file>", "where to (default: its name, in this folder)"),
    )
    .action(async (wanted: string | undefined, _, self: Command) => {
      const flags = self.opts<GetFlags>();
      const options = common(self);
      const events = newEvents({
        ...options,
        logLevel: options.logLevel === "info" ? "warn" : options.logLevel,
      });
      const { files, path } = await getFile(
        {
          ...membershipOf(flags),
          wanted,
          out: flags.out,
          ...transfersOf(flags),
        },
        { events, paths: options.paths, signal: stopSignal() },
      );
      if (path === undefined) {
        for (const { root, sizeBytes, name, wholeHolders, kind } of files) {
          process.stdout.write(
            `${root}  ${kind.padEnd(5)}  ${formatBytes(sizeBytes).padStart(10)}  ${wholeHolders} holders  ${name}\n`,
          );
        }
      } else process.stdout.write(`${path}\n`);
      process.exit(0); // libp2p leaves sockets and timers that hold the loop for seconds
    });
}
