/** `shoal status`: how a swarm is, asked of any member or of a local role; the exit code says whether it is ready. */
import { Command } from "commander";
import {
  DIAGNOSTICS_DEFAULTS,
  askMembers,
  type AskedStatus,
  askUrl,
  clusterReportLines,
  clusterRoute,
  reportLines,
  type ReportOptions,
  routeLines,
} from "../diagnostics/index.ts";
import type { ClusterStatus } from "../status/index.ts";
import { isShoalError, showsColors } from "../lib/index.ts";
import type { Invitation } from "../network/index.ts";
import { membersInLan } from "./find-members.ts";
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

/** It was asked and answered, and it is not ready: apart from every error's code, as `systemctl status` has it. */
const EXIT_NOT_READY = 3;

const LOCAL = `http://127.0.0.1:${DIAGNOSTICS_DEFAULTS.port}`;

interface StatusFlags {
  bootstrap?: string[];
  join?: Invitation;
  cluster?: string;
  url?: string;
  timeout: number;
  routes?: true;
  json?: true;
}

export function statusCommand(): Command {
  const command = new Command("status")
    .description(
      "show swarm status (from any member or a local role); exits with 0 if ready, 3 if not",
    )
    .optionsGroup("Status options:")
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
        `page of a role to ask instead of a member (default without --bootstrap: ${LOCAL}, and if nothing answers there, members of --cluster in the local network)`,
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
      option(
        "--routes",
        "show the route that a prompt would take now, its predicted time per token and its parts; of a gateway also what its last sessions saw",
      ),
    )
    .addOption(option("--json", "print the answer as JSON"));
  return examples(
    command,
    "shoal status",
    "shoal status --bootstrap rendezvous.example.org --cluster friends",
    "shoal status --routes --url http://127.0.0.1:51823",
  ).action(async (_, self: Command) => {
    const flags = invited(self.opts<StatusFlags>());
    const options = common(self);
    const asked = await ask(flags, self);
    const isReady = isReadyBy(asked);
    const routes =
      flags.routes === true ? clustersOf(asked).map(clusterRoute) : undefined;
    if (flags.json === true) {
      await printJson({ ready: isReady, ...asked, routes }, 2);
    } else {
      const { isTTY, columns } = process.stdout;
      const how = {
        ascii: options.ascii,
        color: showsColors(process.stdout),
        width: isTTY ? columns : undefined,
      };
      const lines =
        routes === undefined
          ? linesOf(asked, how)
          : routeLines(routes, asked.node?.sessions ?? null, how);
      await printAsIs(lines.join("\n"));
    }
    process.exit(isReady ? 0 : EXIT_NOT_READY); // libp2p leaves sockets and timers that hold the loop for seconds
  });
}

async function ask(flags: StatusFlags, self: Command): Promise<AskedStatus> {
  const { bootstrap, cluster } = flags;
  const timeoutMs = flags.timeout * 1000;
  const signal = stopSignal();
  let targets = bootstrap;
  if (flags.url !== undefined || targets === undefined) {
    const url = flags.url ?? LOCAL;
    try {
      return await askUrl({ url, cluster, timeoutMs, signal });
    } catch (error) {
      if (flags.url !== undefined || cluster === undefined) throw error;
      if (!isShoalError(error, "DIAL_FAILED")) throw error;
    }
    targets = await membersInLan(cluster, { timeoutMs, signal });
  }
  // Standard output is the answer's: what goes wrong beside it is told on the other.
  const events = newEvents(quiet(self, "error"), process.stderr);
  return await askMembers({
    targets,
    cluster: required(cluster, "--cluster"),
    events,
    timeoutMs,
    signal,
  });
}

/** The cluster's word where one was meant; else the process' own. */
function isReadyBy({ node, cluster }: AskedStatus): boolean {
  return cluster?.ready ?? node?.ready ?? false;
}

function clustersOf({ node, cluster }: AskedStatus): ClusterStatus[] {
  return cluster === null ? (node?.clusters ?? []) : [cluster];
}

function linesOf(
  { node, cluster }: AskedStatus,
  options: ReportOptions,
): string[] {
  if (node === null)
    return cluster === null ? [] : clusterReportLines(cluster, options);
  const clusters = cluster === null ? node.clusters : [cluster];
  return reportLines({ ...node, clusters }, options);
}
