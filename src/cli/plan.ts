/** `shoal plan`: where a cluster's model is cut, where it should be, and what each machine would do for it. */
import { Command, Option } from "commander";
import { askPlan, askUrl, planLines } from "../diagnostics/index.ts";
import { ShoalError, showsColors } from "../lib/index.ts";
import { agreeToMove } from "../roles/index.ts";
import type { Invitation } from "../network/index.ts";
import type { PlanStatus } from "../status/index.ts";
import {
  common,
  examples,
  invited,
  joinOption,
  option,
  quiet,
  required,
} from "./options.ts";
import { printAsIs, printJson } from "./output.ts";
import { newEvents, stopSignal } from "./run-role.ts";
import { targets, url, wholeNumber } from "./values.ts";

/** A node's page, where nobody else took the port. */
const LOCAL = "http://127.0.0.1:51823";

interface PlanFlags {
  bootstrap?: string[];
  join?: Invitation;
  cluster?: string;
  url?: string;
  timeout: number;
  json?: true;
  agree?: true;
}

export function planCommand(): Command {
  const command = new Command("plan")
    .description(
      "show where the model is cut, where it should be as the machines are, and what a token takes with each",
    )
    .optionsGroup("Plan options:")
    .addOption(
      option(
        "--bootstrap <addresses>",
        "members or rendezvous to ask: host, host:port or multiaddr, separated by commas",
        targets,
      ),
    )
    .addOption(joinOption())
    .addOption(option("--cluster <name>", "name of the cluster"))
    .addOption(
      option(
        "--url <url>",
        `page of a node to ask instead (default without --bootstrap: ${LOCAL})`,
        (text) => url(text).href,
      ),
    )
    .addOption(
      option(
        "--timeout <s>",
        "seconds to wait for an answer",
        wholeNumber(1, 3600),
      ).default(10),
    )
    .addOption(
      new Option(
        "--agree",
        "agree, for the node on this machine (with its --home), that its layers change once: for nodes with --move ask",
      ),
    )
    .addOption(option("--json", "print the answer as JSON"));
  return examples(
    command,
    "shoal plan",
    "shoal plan --bootstrap rendezvous.example.org --cluster friends",
    "shoal plan --agree",
  ).action(async (_, self: Command) => {
    const flags = invited(self.opts<PlanFlags>());
    const options = common(self);
    if (flags.agree === true) {
      await agreeToMove(options.paths.state);
      await printAsIs(
        "The node on this machine may change its layers once, within a day.",
      );
      return;
    }
    const plan = await ask(flags, self);
    if (flags.json === true) await printJson(plan, 2);
    else {
      const { isTTY, columns } = process.stdout;
      const how = {
        ascii: options.ascii,
        color: showsColors(process.stdout),
        width: isTTY ? columns : undefined,
      };
      await printAsIs(planLines(plan, how).join("\n"));
    }
    process.exit(0); // libp2p leaves sockets and timers that hold the loop for seconds
  });
}

async function ask(flags: PlanFlags, self: Command): Promise<PlanStatus> {
  const { bootstrap, cluster } = flags;
  const timeoutMs = flags.timeout * 1000;
  const signal = stopSignal();
  if (flags.url === undefined && bootstrap !== undefined) {
    // Standard output is the answer's: what goes wrong beside it is told on the other.
    const events = newEvents(quiet(self, "error"), process.stderr);
    return await askPlan({
      targets: bootstrap,
      cluster: required(cluster, "--cluster"),
      events,
      timeoutMs,
      signal,
    });
  }
  const at = flags.url ?? LOCAL;
  const { node } = await askUrl({ url: at, cluster, timeoutMs, signal });
  if (node?.plan) return node.plan;
  throw new ShoalError(
    "SWARM_NOT_READY",
    `${at} is the page of a role that does not look for a better cut (${node?.role ?? "unknown"}): ask a node that was told no shard, or use --bootstrap`,
    { role: node?.role },
  );
}
