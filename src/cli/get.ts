/** `shoal get`: fetches any listed file; without a name, tells what there is. */
import { Command } from "commander";
import { isRemote } from "../hub/index.ts";
import { formatBytes } from "../lib/index.ts";
import { getFile, type GetFileOptions } from "../roles/index.ts";
import {
  common,
  examples,
  invited,
  type MembershipFlags,
  membershipOf,
  option,
  quiet,
  withMembership,
} from "./options.ts";
import { printJson, printLines, tell } from "./output.ts";
import { sourcesInWords } from "./progress.ts";
import { newEvents, showsBars, stopSignal } from "./run-role.ts";
import type { TransferFlags } from "../weights/index.ts";
import { transfersOf, withTransfers } from "./transfer-options.ts";

interface GetFlags extends MembershipFlags, TransferFlags {
  out?: string;
  json?: boolean;
}

/** Where no bar can be shown, a line says how far it is this often. */
const LINE_MS = 10_000;

export function getCommand(): Command {
  const command = new Command("get")
    .description(
      "download a file that a cluster shares, or a model of the model hub; without a name, list what the cluster shares",
    )
    .argument(
      "[name]",
      "name of the file, or the root of its content; or hf:owner/repo:Q4_K_M, or an https: address, which needs no cluster",
    )
    .optionsGroup("File options:")
    .addOption(
      option(
        "--out <path>",
        "file or folder to write to (default: its name, in this folder; a model of the hub stays in the hub's cache)",
      ),
    )
    .addOption(option("--json", "print the list, or the path, as JSON"));
  withTransfers(withMembership(command));
  return examples(
    command,
    "shoal get --bootstrap rendezvous.example.org --cluster friends",
    "shoal get model.gguf --bootstrap rendezvous.example.org --cluster friends",
    "shoal get hf:owner/repo:Q4_K_M",
  ).action(async (wanted: string | undefined, _, self: Command) => {
    const flags = self.opts<GetFlags>();
    if (wanted !== undefined && isRemote(wanted)) {
      const { getModel } = await import("./get-model.ts");
      await getModel(wanted, flags, self);
      return;
    }
    // Standard output is the answer's.
    const events = newEvents(quiet(self, "warn"), process.stderr);
    const { files, path } = await getFile(
      {
        // A rendezvous has the list; members do not.
        ...membershipOf(flags, { needsBootstrap: true }),
        wanted,
        out: flags.out,
        ...(showsBars(common(self), process.stderr)
          ? {}
          : { onProgress: progressLines() }),
        ...transfersOf(flags),
      },
      { events, paths: common(self).paths, signal: stopSignal() },
    );
    if (flags.json === true)
      await printJson(path === undefined ? files : { path });
    else if (path !== undefined) await printLines([path], { ascii: false });
    else await printLines(files.map(lineOf), common(self));
    if (path === undefined && files.length === 0)
      tell(`nobody in cluster ${invited(flags).cluster} shares anything`);
    process.exit(0); // libp2p leaves sockets and timers that hold the loop for seconds
  });
}

type SharedFile = Awaited<ReturnType<typeof getFile>>["files"][number];

function lineOf(file: SharedFile): string {
  const { root, sizeBytes, name, wholeHolders, kind } = file;
  const size = formatBytes(sizeBytes).padStart(10);
  const holders = wholeHolders === 1 ? "1 holder " : `${wholeHolders} holders`;
  return `${root}  ${kind.padEnd(5)}  ${size}  ${holders}  ${name}`;
}

function progressLines(): NonNullable<GetFileOptions["onProgress"]> {
  let toldMs = performance.now();
  return ({ name, doneBytes, sizeBytes, bytesPerSecond, sources }) => {
    if (performance.now() - toldMs < LINE_MS) return;
    toldMs = performance.now();
    const part = sizeBytes ? Math.floor((100 * doneBytes) / sizeBytes) : 0;
    tell(
      `${name}: ${part} %  ${formatBytes(bytesPerSecond)}/s, ${sourcesInWords(sources)}`,
    );
  };
}
