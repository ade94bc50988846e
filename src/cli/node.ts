/** `shoal node`: holds a shard and computes with it. */
import { Command } from "commander";
import { defaultThreads, ENGINE_DEFAULTS } from "../engine/index.ts";
import { ShoalError } from "../lib/index.ts";
import { startNode } from "../roles/index.ts";
import {
  bytes,
  common,
  diagnosticsOf,
  layers,
  type MembershipFlags,
  membershipOf,
  option,
  shardNumber,
  wholeNumber,
  withCommon,
  withDiagnostics,
  withMembership,
} from "./options.ts";
import { runRole } from "./run-role.ts";
import type { TransferFlags } from "../weights/index.ts";
import { transfersOf, withTransfers } from "./transfer-options.ts";

interface NodeFlags extends MembershipFlags, TransferFlags {
  shard?: { index: number; count?: number };
  layers?: { layerStart: number; layerEnd: number };
  modelDir?: string;
  context?: number;
  sessions: number;
  threads: number;
  memory?: number;
  seed: boolean;
  spare?: number;
}

export function nodeCommand(): Command {
  const command = new Command("node").description(
    "hold a shard of the model and compute with it",
  );
  return withDiagnostics(withTransfers(withCommon(withMembership(command))), {
    host: "127.0.0.1",
  })
    .addOption(
      option(
        "--shard <i/n>",
        "the shard: 0/4 is the first of four; without --model-dir also 0 alone, of the cluster's plan (default: what the cluster needs most)",
        shardNumber,
      ),
    )
    .addOption(
      option("--layers <a-b>", "any layers in place of a shard", layers),
    )
    .addOption(
      option(
        "--model-dir <dir>",
        "folder with the shards that `shoal split` wrote, or with the model's GGUF; without it the shard is fetched from the swarm",
      ),
    )
    .addOption(
      option(
        "--context <tokens>",
        "tokens one session may hold (default: the model's, up to 4096)",
        wholeNumber(16, 1 << 24),
      ),
    )
    .addOption(
      option("--sessions <n>", "sessions at once", wholeNumber(1, 256)).default(
        ENGINE_DEFAULTS.sessions,
      ),
    )
    .addOption(
      option(
        "--threads <n>",
        "threads for computing",
        wholeNumber(1, 1024),
      ).default(defaultThreads(), "half of the cores"),
    )
    .addOption(
      option(
        "--memory <size>",
        "memory for shards, at most, such as 8GB (default: what is free)",
        bytes,
      ),
    )
    .addOption(
      option(
        "--spare <size>",
        "disk for parts of the model that too few others keep, such as 10GB (default: none)",
        bytes,
      ),
    )
    .option("--no-seed", "do not share what lies in the folders")
    .action(async (_, self: Command) => {
      const flags = self.opts<NodeFlags>();
      if (flags.shard !== undefined && flags.layers !== undefined)
        throw new ShoalError("USAGE", "either --shard or --layers, not both");
      const options = {
        ...membershipOf(flags),
        shard: flags.layers ?? flags.shard,
        modelDir: flags.modelDir,
        contextLength: flags.context,
        sessions: flags.sessions,
        threads: flags.threads,
        memoryBytes: flags.memory,
        diagnostics: diagnosticsOf(self),
        seed: flags.seed,
        spareBytes: flags.spare,
        ...transfersOf(flags),
      };
      await runRole(common(self), (context) => startNode(options, context));
    });
}
