/** `shoal node`: holds a shard and computes with it. */
import { Command, Option } from "commander";
import { defaultThreads, ENGINE_DEFAULTS } from "../engine/index.ts";
import { ShoalError } from "../lib/index.ts";
import { MIN_CONTEXT_TOKENS } from "../model/index.ts";
import {
  MOVE_POLICIES,
  type MovePolicy,
  type Standby,
  STANDBY_POLICIES,
  startNode,
} from "../roles/index.ts";
import {
  common,
  diagnosticsOf,
  examples,
  type MembershipFlags,
  membershipOf,
  option,
  relayLimitOption,
  withDiagnostics,
  withMembership,
} from "./options.ts";
import { type GpuFlags, withGpu } from "./gpu-options.ts";
import { type ModeFlags, withMode } from "./mode-options.ts";
import { runRole } from "./run-role.ts";
import type { TransferFlags } from "../weights/index.ts";
import { transfersOf, withTransfers } from "./transfer-options.ts";
import { bytes, layers, port, shardNumber, wholeNumber } from "./values.ts";

interface NodeFlags
  extends MembershipFlags, TransferFlags, GpuFlags, ModeFlags {
  shard?: { index: number; count?: number };
  layers?: { layerStart: number; layerEnd: number };
  modelDir?: string;
  context?: number;
  sessions: number;
  threads: number;
  memory?: number;
  standby?: Standby;
  move?: MovePolicy;
  moveAfter?: number;
  dataPort: number | "off";
  relay?: boolean;
  relayLimit?: number;
  seed: boolean;
  spare?: number;
  cache: number;
}

const FROM_RECORD = {
  kv: "the cluster's; f16 with an own shard",
  batch: "the cluster's; exact with an own shard",
};

export function nodeCommand(): Command {
  const command = new Command("node")
    .description("hold a shard of the model and compute with it")
    .optionsGroup("Shard options:")
    .addOption(
      option(
        "--shard <i/n>",
        "shard to hold: 0/4 is the first of four; without --model-dir also just 0, from the cluster's plan (default: the one the cluster needs most)",
        shardNumber,
      ),
    )
    .addOption(
      option(
        "--layers <a-b>",
        "layers to hold instead of a shard, such as 8-20",
        layers,
      ),
    )
    .addOption(
      option(
        "--model-dir <dir>",
        "folder with the shards that `shoal split` wrote, or with the model's GGUF (default: download the shard from the cluster)",
      ),
    )
    .addOption(
      option(
        "--memory <size>",
        "most memory to use for shards, such as 8GB (default: what is free)",
        bytes,
      ),
    )
    .addOption(
      option(
        "--standby <policy>",
        "load a shard that only one node holds as a standby, as far as memory allows, and take over lost ones (default: auto; off with --shard or --layers)",
      ).choices(STANDBY_POLICIES),
    )
    .addOption(
      option(
        "--move <policy>",
        "let this node's layers follow the machines' speed: by itself, after `shoal plan --agree` (\"ask\"), or never (default: ask; off with --shard or --layers)",
      ).choices(MOVE_POLICIES),
    )
    .addOption(
      option(
        "--move-after <s>",
        "seconds of work for which another cut must be better before layers move (default: 180)",
        wholeNumber(1, 86_400),
      ),
    )
    .optionsGroup("Computing options:")
    .addOption(
      option(
        "--context <tokens>",
        "most tokens of one session, prompt and reply together (default: the model's limit, up to 32768, as far as memory allows)",
        wholeNumber(MIN_CONTEXT_TOKENS, 1 << 24),
      ),
    )
    .addOption(
      option(
        "--sessions <n>",
        "sessions of a whole context at the same time; more short ones share their memory",
        wholeNumber(1, 256),
      ).default(ENGINE_DEFAULTS.sessions),
    )
    .addOption(
      option(
        "--threads <n>",
        "threads that compute",
        wholeNumber(1, 1024),
      ).default(defaultThreads(), "half of the cores"),
    );
  withGpu(withMode(command, FROM_RECORD))
    .optionsGroup("Sharing options:")
    .addOption(
      option(
        "--spare <size>",
        "disk to lend, such as 10GB: keeps extra copies of the rarest parts of the model (default: none)",
        bytes,
      ),
    )
    .addOption(
      option(
        "--cache <size>",
        "disk for keys and values of sessions that ended: the next one that begins alike need not compute them again; 0 for none",
        bytes,
      ).default(ENGINE_DEFAULTS.keptBytes, "2GB"),
    )
    .addOption(
      new Option("--no-seed", "do not share the files in the model folders"),
    );
  withMembership(command)
    .addOption(
      option(
        "--relay",
        "connect members with each other that cannot reach each other; for a machine that all of them reach",
      ),
    )
    .addOption(relayLimitOption())
    .addOption(
      option(
        "--data-port <port>",
        'port where engines of other nodes connect to this node\'s engine; 0 picks a free one, "off" sends everything through the nodes, which is slower',
        (text) => (text === "off" ? text : port(text)),
      ).default(0, "any"),
    );
  withDiagnostics(withTransfers(command), {
    host: "127.0.0.1",
  });
  return examples(
    command,
    "shoal node --bootstrap rendezvous.example.org --cluster friends",
    "shoal node --bootstrap 192.0.2.7 --cluster friends --shard 0 --memory 12GB",
  ).action(async (_, self: Command) => {
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
      kv: flags.kv,
      batch: flags.batch,
      gpu: flags.gpu,
      gpuLayers: flags.gpuLayers,
      memoryBytes: flags.memory,
      standby: flags.standby,
      move: flags.move,
      moveAfterMs:
        flags.moveAfter === undefined ? undefined : flags.moveAfter * 1000,
      diagnostics: diagnosticsOf(self),
      dataPort: flags.dataPort === "off" ? undefined : flags.dataPort,
      relay:
        flags.relay === true ? { bytesPerSecond: flags.relayLimit } : undefined,
      seed: flags.seed,
      spareBytes: flags.spare,
      cacheBytes: flags.cache,
      ...transfersOf(flags),
    };
    await runRole(common(self), (context) => startNode(options, context));
  });
}
