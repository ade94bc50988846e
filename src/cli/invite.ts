/** `shoal invite`: one string with which others join, also as a QR code. */
import { Command, Option } from "commander";
import { renderUnicodeCompact } from "uqr";
import { type InvitationReach, makeInvitation } from "../roles/index.ts";
import { movesCursor } from "../lib/index.ts";
import type { Invitation } from "../network/index.ts";
import {
  common,
  examples,
  invited,
  joinOption,
  option,
  quiet,
  required,
} from "./options.ts";
import { printAsIs, printJson, tell } from "./output.ts";
import { newEvents, stopSignal } from "./run-role.ts";
import { targets, wholeNumber } from "./values.ts";

interface InviteFlags {
  bootstrap?: string[];
  join?: Invitation;
  cluster?: string;
  timeout: number;
  qr?: boolean;
  json?: boolean;
}

/** White on black, whatever the terminal's colours: a code in other colours is not read by all. */
const [WHITE_ON_BLACK, AS_BEFORE] = ["\u001B[97;40m", "\u001B[0m"];

const WHERE: Readonly<Record<InvitationReach, string | undefined>> = {
  anywhere: undefined,
  "local network":
    "It works in this local network: it has no other address. For friends elsewhere run a rendezvous and name it with --bootstrap.",
  "this machine":
    "It works on this machine only: nothing listens at another address than loopback.",
};

export function inviteCommand(): Command {
  const command = new Command("invite")
    .description(
      "print an invitation to a cluster: one string that --join takes; in a terminal also as a QR code",
    )
    .optionsGroup("Cluster options:")
    .addOption(
      option(
        "--bootstrap <addresses>",
        "rendezvous or members that the invited join through: host, host:port or multiaddr, separated by commas (default: members in the local network)",
        targets,
      ),
    )
    .addOption(joinOption())
    .addOption(option("--cluster <name>", "name of the cluster"))
    .addOption(
      option(
        "--timeout <s>",
        "seconds to wait for each answer",
        wholeNumber(1, 600),
      ).default(10),
    )
    .optionsGroup("Output options:")
    .addOption(option("--qr", "print the QR code also where no terminal is"))
    .addOption(new Option("--no-qr", "print no QR code"))
    .addOption(option("--json", "print the invitation and its parts as JSON"));
  return examples(
    command,
    "shoal invite --cluster friends",
    "shoal invite --bootstrap rendezvous.example.org --cluster friends",
  ).action(async (_, self: Command) => {
    const flags = invited(self.opts<InviteFlags>());
    const events = newEvents(quiet(self, "error"), process.stderr);
    const { text, invitation, reach } = await makeInvitation(
      {
        bootstraps: flags.bootstrap ?? [],
        cluster: required(flags.cluster, "--cluster"),
        timeoutMs: flags.timeout * 1000,
      },
      { events, signal: stopSignal() },
    );
    if (flags.json === true)
      await printJson({ invitation: text, reach, ...invitation }, 2);
    else await print(text, flags.qr, common(self).ascii);
    const where = WHERE[reach];
    if (where !== undefined) tell(where);
    process.exit(0); // libp2p leaves sockets and timers that hold the loop for seconds
  });
}

async function print(
  text: string,
  qr: boolean | undefined,
  ascii: boolean,
): Promise<void> {
  await printAsIs(text);
  const isWanted = qr ?? (movesCursor(process.stdout) && !ascii);
  if (!isWanted) return;
  const lines = renderUnicodeCompact(text, { ecc: "L", border: 2 }).split("\n");
  const { isTTY } = process.stdout;
  const shown = lines.map((line) =>
    isTTY ? WHITE_ON_BLACK + line + AS_BEFORE : line,
  );
  await printAsIs(["", ...shown].join("\n"));
}
