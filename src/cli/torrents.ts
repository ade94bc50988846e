/** `shoal torrents`: how many copies there are of each part of a cluster's model. */
import { Command } from "commander";
import { formatBytes } from "../lib/index.ts";
import { listParts } from "../roles/index.ts";
import {
  type MembershipFlags,
  membershipOf,
  option,
  quiet,
  withCommon,
  withMembership,
} from "./options.ts";
import { print } from "./output.ts";
import { newEvents, stopSignal } from "./run-role.ts";

interface TorrentsFlags extends MembershipFlags {
  json?: boolean;
}

export function torrentsCommand(): Command {
  const command = new Command("torrents").description(
    "tell how many copies of each part of the model a cluster keeps",
  );
  return withCommon(withMembership(command))
    .addOption(option("--json", "as one JSON object"))
    .action(async (_, self: Command) => {
      const flags = self.opts<TorrentsFlags>();
      const events = newEvents(quiet(self, "error"), process.stderr);
      const result = await listParts(membershipOf(flags), {
        events,
        signal: stopSignal(),
      });
      const { parts, target } = result;
      const under = parts.filter(({ copies }) => copies < target);
      if (flags.json === true) {
        await print(JSON.stringify({ ...result, underTarget: under.length }));
      } else {
        await print(`${result.model}  ${result.manifest}`);
        for (const { name, sizeBytes, copies, coming, spare } of parts) {
          const notes = [
            copies < target ? "under target" : "",
            spare > 0 ? `${spare} on spare disk` : "",
            coming > 0 ? `${coming} coming` : "",
          ].filter((note) => note !== "");
          await print(
            `${formatBytes(sizeBytes).padStart(10)}  ${copies}/${target}  ${name}${notes.length > 0 ? `  (${notes.join(", ")})` : ""}`,
          );
        }
        await print(`${under.length} of ${parts.length} parts under target`);
        if (!result.isComplete)
          await print(
            "no member gave the manifest: parts that nobody has are not shown",
          );
      }
      process.exit(0); // libp2p leaves sockets and timers that hold the loop for seconds
    });
}
