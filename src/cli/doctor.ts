/** `shoal doctor`: why is it not ready, not connecting, slow? One cause, and what to do next. */
import { Command } from "commander";
import { ENGINE_DEFAULTS } from "../engine/index.ts";
import { showsColors, systemClock } from "../lib/index.ts";
import { MIN_CONTEXT_TOKENS } from "../model/index.ts";
import { type DoctorReport, runDoctor } from "../doctor/index.ts";
import { type GpuFlags, withGpu } from "./gpu-options.ts";
import { common, examples, option, quiet } from "./options.ts";
import { printJson, printLines } from "./output.ts";
import { newEvents, stopSignal } from "./run-role.ts";
import { bytes, layers, listens, shardNumber, wholeNumber } from "./values.ts";

/** Something is wrong: apart from every error's code and from `shoal status`' 3, which says only that it is not ready. */
export const EXIT_UNHEALTHY = 4;

interface DoctorFlags extends GpuFlags {
  bootstrap?: string;
  join?: string;
  cluster?: string;
  listen: string[];
  shard?: { index: number; count?: number };
  layers?: { layerStart: number; layerEnd: number };
  modelDir?: string;
  context?: number;
  sessions: number;
  memory?: number;
  timeout: number;
  json?: true;
}

export function doctorCommand(): Command {
  const command = new Command("doctor")
    .description(
      "diagnose why a node cannot connect, is not ready or is slow; exits with 0 if nothing is wrong, 4 if something is",
    )
    .optionsGroup("Cluster options:")
    .addOption(
      option(
        "--bootstrap <addresses>",
        "rendezvous or other members, as for `shoal node` (default: members of --cluster in the local network are looked for); a bad address is reported as a cause",
      ),
    )
    .addOption(
      option(
        "--join <invitation>",
        "invitation, as for `shoal node`; what is wrong with it is reported as a cause",
      ),
    )
    .addOption(option("--cluster <name>", "name of the cluster"))
    .addOption(
      option(
        "--listen <addresses>",
        "addresses that this machine's node should listen on",
        listens,
      ).default(listens("0.0.0.0:0"), "all interfaces, any port"),
    )
    .optionsGroup("Node options:")
    .addOption(option("--shard <i/n>", "shard of the node", shardNumber))
    .addOption(option("--layers <a-b>", "layers of the node", layers))
    .addOption(option("--model-dir <dir>", "folder with the node's models"))
    .addOption(
      option(
        "--context <tokens>",
        "most tokens of one session",
        wholeNumber(MIN_CONTEXT_TOKENS, 1 << 24),
      ),
    )
    .addOption(
      option(
        "--sessions <n>",
        "sessions at the same time",
        wholeNumber(1, 256),
      ).default(ENGINE_DEFAULTS.sessions),
    )
    .addOption(
      option(
        "--memory <size>",
        "most memory to use for shards, such as 8GB",
        bytes,
      ),
    );
  withGpu(command)
    .optionsGroup("Output options:")
    .addOption(
      option(
        "--timeout <s>",
        "seconds to wait for each check",
        wholeNumber(1, 600),
      ).default(10),
    )
    .addOption(option("--json", "print the findings as JSON"));
  return examples(
    command,
    "shoal doctor --bootstrap rendezvous.example.org --cluster friends",
  ).action(async (_, self: Command) => {
    const flags = self.opts<DoctorFlags>();
    const options = common(self);
    const events = newEvents(quiet(self, "error"), process.stderr);
    const report = await runDoctor(
      {
        bootstraps: (flags.bootstrap ?? "")
          .split(",")
          .map((text) => text.trim())
          .filter((text) => text !== ""),
        join: flags.join,
        cluster: flags.cluster,
        listen: flags.listen,
        shard: flags.layers ?? flags.shard,
        modelDir: flags.modelDir,
        contextLength: flags.context,
        sessions: flags.sessions,
        gpu: flags.gpu,
        gpuLayers: flags.gpuLayers,
        memoryBytes: flags.memory,
        timeoutMs: flags.timeout * 1000,
        clock: systemClock,
      },
      { events, paths: options.paths, signal: stopSignal() },
    );
    if (flags.json === true) await printJson(report, 2);
    else
      await printLines(linesOf(report), {
        ascii: options.ascii,
        color: showsColors(process.stdout),
      });
    process.exit(report.healthy ? 0 : EXIT_UNHEALTHY); // libp2p leaves sockets and timers that hold the loop for seconds
  });
}

const SIGNS = { ok: "✓", problem: "✗", note: "·", skipped: "?" } as const;

function linesOf({ findings, cause }: DoctorReport): string[] {
  const lines = findings.map(
    ({ state, check, text }) => `${SIGNS[state]} ${check.padEnd(9)} ${text}`,
  );
  if (cause === undefined) return [...lines, "", "Nothing is wrong."];
  const { code, what, next } = cause;
  return [...lines, "", `Cause: ${what} (${code})`, `Next:  ${next}`];
}
