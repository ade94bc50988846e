/** `shoal torrents`: how many copies there are of each part of a cluster's model. */
import { Command } from "commander";
import { formatBytes } from "../lib/index.ts";
import { listParts } from "../roles/index.ts";
import {
  common,
  examples,
  type MembershipFlags,
  membershipOf,
  option,
  quiet,
  withMembership,
} from "./options.ts";
import { printJson, printLines } from "./output.ts";
import { newEvents, stopSignal } from "./run-role.ts";

interface TorrentsFlags extends MembershipFlags {
  json?: boolean;
}

export function torrentsCommand(): Command {
  const command = new Command("torrents")
    .description("list the parts of the model and how many copies each has")
    .optionsGroup("Output options:")
    .addOption(option("--json", "print the list as JSON"));
  return examples(
    withMembership(command),
    "shoal torrents --bootstrap rendezvous.example.org --cluster friends",
  ).action(async (_, self: Command) => {
    const flags = self.opts<TorrentsFlags>();
    const events = newEvents(quiet(self, "error"), process.stderr);
    // A rendezvous knows the copies; members do not.
    const result = await listParts(
      membershipOf(flags, { needsBootstrap: true }),
      {
        events,
        signal: stopSignal(),
      },
    );
    const under = result.parts.filter(
      ({ copies }) => copies < result.target,
    ).length;
    if (flags.json === true) await printJson({ ...result, underTarget: under });
    else await printLines(linesOf(result, under), common(self));
    process.exit(0); // libp2p leaves sockets and timers that hold the loop for seconds
  });
}

type PartList = Awaited<ReturnType<typeof listParts>>;

function linesOf(
  { model, manifest, parts, target, isComplete }: PartList,
  under: number,
): string[] {
  const lines = parts.map(({ name, sizeBytes, copies, coming, spare }) => {
    const notes = [
      copies < target ? "too few copies" : "",
      spare > 0 ? `${spare} on spare disk` : "",
      coming > 0 ? `${coming} coming` : "",
    ].filter((note) => note !== "");
    const size = formatBytes(sizeBytes).padStart(10);
    const note = notes.length > 0 ? `  (${notes.join(", ")})` : "";
    return `${size}  ${copies}/${target}  ${name}${note}`;
  });
  return [
    `${model}  ${manifest}`,
    ...lines,
    `${under} of ${parts.length} parts have too few copies`,
    ...(isComplete
      ? []
      : ["no member sent the manifest: parts without any copy are not listed"]),
  ];
}
