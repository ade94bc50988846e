/** `shoal doctor`: why is it not ready, not connecting, slow? One cause, and what to do next. */
import { Command } from "commander";
import { ENGINE_DEFAULTS } from "../engine/index.ts";
import { systemClock } from "../lib/index.ts";
import { type DoctorReport, runDoctor } from "../doctor/index.ts";
import {
  bytes,
  common,
  layers,
  listens,
  option,
  shardNumber,
  wholeNumber,
  withCommon,
} from "./options.ts";
import { print } from "./output.ts";
import { newEvents, stopSignal } from "./run-role.ts";

/** Something is wrong: apart from every error's code and from `shoal status`' 3, which says only that it is not ready. */
export const EXIT_UNHEALTHY = 4;

interface DoctorFlags {
  bootstrap?: string;
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
  return withCommon(
    new Command("doctor").description(
      "tell the one cause why a node does not connect, is not ready or is slow; ends with 0 if there is none, 4 if there is",
    ),
  )
    .addOption(
      option(
        "--bootstrap <addresses>",
        "rendezvous or other members, as for `shoal node`; a bad address is a cause, not an error",
      ),
    )
    .addOption(option("--cluster <name>", "the cluster's name"))
    .addOption(
      option(
        "--listen <addresses>",
        "where the node of this machine is to listen",
        listens,
      ).default(listens("0.0.0.0:0"), "any port"),
    )
    .addOption(option("--shard <i/n>", "the node's shard", shardNumber))
    .addOption(option("--layers <a-b>", "its layers", layers))
    .addOption(option("--model-dir <dir>", "the node's folder of models"))
    .addOption(
      option(
        "--context <tokens>",
        "tokens one session may hold",
        wholeNumber(16, 1 << 24),
      ),
    )
    .addOption(
      option("--sessions <n>", "sessions at once", wholeNumber(1, 256)).default(
        ENGINE_DEFAULTS.sessions,
      ),
    )
    .addOption(
      option("--memory <size>", "memory for shards, such as 8GB", bytes),
    )
    .addOption(
      option("--timeout <s>", "for each question", wholeNumber(1, 600)).default(
        10,
      ),
    )
    .addOption(option("--json", "print what was found as JSON"))
    .action(async (_, self: Command) => {
      const flags = self.opts<DoctorFlags>();
      const options = common(self);
      // Standard output is the answer's.
      const events = newEvents({ ...options, logLevel: "error" });
      const report = await runDoctor(
        {
          bootstraps: (flags.bootstrap ?? "")
            .split(",")
            .map((text) => text.trim())
            .filter((text) => text !== ""),
          cluster: flags.cluster,
          listen: flags.listen,
          shard: flags.layers ?? flags.shard,
          modelDir: flags.modelDir,
          contextLength: flags.context,
          sessions: flags.sessions,
          memoryBytes: flags.memory,
          timeoutMs: flags.timeout * 1000,
          clock: systemClock,
        },
        { events, paths: options.paths, signal: stopSignal() },
      );
      const text =
        flags.json === true
          ? JSON.stringify(report, undefined, 2)
          : linesOf(report, options.ascii).join("\n");
      await print(text);
      process.exit(report.healthy ? 0 : EXIT_UNHEALTHY); // libp2p leaves sockets and timers that hold the loop for seconds
    });
}

function linesOf(
  { findings, cause }: DoctorReport,
  isAscii: boolean,
): string[] {
  const signs = isAscii
    ? { ok: "+", problem: "x", note: "-", skipped: "?" }
    : { ok: "✓", problem: "✗", note: "·", skipped: "?" };
  const lines = findings.map(
    ({ state, check, text }) => `${signs[state]} ${check.padEnd(9)} ${text}`,
  );
  if (cause === undefined) return [...lines, "", "Nothing is wrong."];
  const { code, what, next } = cause;
  return [...lines, "", `Cause: ${what} (${code})`, `Next:  ${next}`];
}
