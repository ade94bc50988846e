/** `shoal status`: how a swarm is, asked of any member or of a local role; the exit code says whether it is ready. */
import { Command } from "commander";
import {
  DIAGNOSTICS_DEFAULTS,
  askMembers,
  type AskedStatus,
  askUrl,
  clusterReportLines,
  reportLines,
  type ReportOptions,
} from "../diagnostics/index.ts";
import { showsColors } from "../lib/index.ts";
import {
  common,
  option,
  quiet,
  required,
  targets,
  url,
  wholeNumber,
  withCommon,
} from "./options.ts";
import { print } from "./output.ts";
import { newEvents, stopSignal } from "./run-role.ts";

/** It was asked and answered, and it is not ready: apart from every error's code, as `systemctl status` has it. */
const EXIT_NOT_READY = 3;

const LOCAL = `http://127.0.0.1:${DIAGNOSTICS_DEFAULTS.port}`;

interface StatusFlags {
  bootstrap?: string[];
  cluster?: string;
  url?: string;
  timeout: number;
  json?: true;
}

export function statusCommand(): Command {
  return withCommon(
    new Command("status").description(
      "tell how a swarm is: asks any member, or a role on this machine; ends with 0 if it is ready, 3 if not",
    ),
  )
    .addOption(
      option(
        "--bootstrap <addresses>",
        "members or rendezvous to ask: host, host:port or multiaddr, separated by commas",
        targets,
      ),
    )
    .addOption(option("--cluster <name>", "the cluster's name"))
    .addOption(
      option(
        "--url <url>",
        `a role's page to ask in place of a member (default without --bootstrap: ${LOCAL})`,
        (text) => url(text).href,
      ),
    )
    .addOption(
      option(
        "--timeout <s>",
        "give up if nobody answers for so long",
        wholeNumber(1, 3600),
      ).default(10),
    )
    .addOption(option("--json", "print what was answered as JSON"))
    .action(async (_, self: Command) => {
      const flags = self.opts<StatusFlags>();
      const options = common(self);
      const asked = await ask(flags, self);
      const isReady = isReadyBy(asked);
      if (flags.json === true) {
        await print(JSON.stringify({ ready: isReady, ...asked }, undefined, 2));
      } else {
        const { isTTY, columns } = process.stdout;
        const lines = linesOf(asked, {
          ascii: options.ascii,
          color: showsColors(process.stdout),
          width: isTTY ? columns : undefined,
        });
        await print(lines.join("\n"));
      }
      process.exit(isReady ? 0 : EXIT_NOT_READY); // libp2p leaves sockets and timers that hold the loop for seconds
    });
}

async function ask(flags: StatusFlags, self: Command): Promise<AskedStatus> {
  const { bootstrap, cluster } = flags;
  const timeoutMs = flags.timeout * 1000;
  const signal = stopSignal();
  if (flags.url !== undefined || bootstrap === undefined)
    return await askUrl({
      url: flags.url ?? LOCAL,
      cluster,
      timeoutMs,
      signal,
    });
  // Standard output is the answer's: what goes wrong beside it is told on the other.
  const events = newEvents(quiet(self, "error"), process.stderr);
  return await askMembers({
    targets: bootstrap,
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

function linesOf(
  { node, cluster }: AskedStatus,
  options: ReportOptions,
): string[] {
  if (node === null)
    return cluster === null ? [] : clusterReportLines(cluster, options);
  const clusters = cluster === null ? node.clusters : [cluster];
  return reportLines({ ...node, clusters }, options);
}
