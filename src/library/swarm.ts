import { join } from "node:path";
import { z } from "zod";
import { type Events, PACKAGE_ROOT } from "../lib/index.ts";
import { localModel } from "../hub/index.ts";
import { type LocalSwarmProgress, startLocalSwarm } from "../roles/index.ts";
import { MIN_CONTEXT_TOKENS } from "../model/index.ts";
import {
  check,
  flag,
  gpuFields,
  MODEL,
  modeFields,
  port,
  text,
  whole,
} from "./check.ts";
import { inContext, type StartContext } from "./run.ts";

/** Each process needs memory for the runtime beside its shard. */
const MAX_NODES = 64;

export interface SwarmOptions {
  /** The GGUF to serve, or a reference (`hf:owner/repo:Q4_K_M`, `https://…`). Default: the demo model that comes with the package. */
  model?: string | undefined;
  /** Nodes, each a process. Default: 4. */
  nodes?: number | undefined;
  /** Default: 51822, or any free port if it is in use; 0 is any free one. */
  apiPort?: number | undefined;
  /** The rendezvous' port. Default: 51820, or any free one. */
  rendezvousPort?: number | undefined;
  /** Port of the rendezvous' page. Default: 51821, or any free one. */
  diagnosticsPort?: number | undefined;
  /** Tokens of one session. Default: the model's, up to 32768, as far as memory allows. */
  contextLength?: number | undefined;
  /** Type of keys and values: f16 is llama.cpp's own, bf16 makes replies independent of what else runs, q8_0 too with half the memory. Default: "f16". */
  kv?: "f16" | "bf16" | "q8_0" | undefined;
  /** Sessions share a decode only where no bit changes, wherever it is faster, or never. Default: "exact". */
  batch?: "exact" | "fast" | "off" | undefined;
  /** Threads of each node. Default: the cores, divided among the nodes. */
  threads?: number | undefined;
  /** Of each node: "auto", "off", or a graphics card's name. Default: "auto". */
  gpu?: string | undefined;
  /** Layers that each node puts on the graphics card. Default: all. */
  gpuLayers?: number | undefined;
  /** One seeder has the model, and the nodes download their shards. Default: false, the nodes find them in a folder. */
  fromSeeder?: boolean | undefined;
}

/** A swarm of processes on this machine. */
export interface RunningSwarm extends AsyncDisposable {
  /** The gateway: OpenAI's clients want `${apiUrl}/v1`. */
  readonly apiUrl: string;
  /** The page of the rendezvous. */
  readonly statusUrl: string;
  /** Through which more members can join. */
  readonly bootstrap: string;
  readonly cluster: string;
  readonly processes: readonly { name: string; pid: number | undefined }[];
  /** Stops every process. May be called twice. */
  stop(): Promise<void>;
}

const schema = z.strictObject({
  model: text(MODEL).optional(),
  nodes: whole(1, MAX_NODES).default(4),
  apiPort: port.optional(),
  rendezvousPort: port.optional(),
  diagnosticsPort: port.optional(),
  contextLength: whole(MIN_CONTEXT_TOKENS, 1 << 24).optional(),
  threads: whole(1, 1024).optional(),
  ...gpuFields,
  ...modeFields,
  fromSeeder: flag.optional(),
});

/** The small model that comes with the package, for a first try and for tests. */
export const DEMO_MODEL: string = join(
  PACKAGE_ROOT,
  "models/demo/shoal-demo.gguf",
);

/** Starts a rendezvous, nodes and a gateway, each a process of its own on this machine. Resolves once prompts can be answered. */
export async function startSwarm(
  options: SwarmOptions = {},
  context: StartContext = {},
): Promise<RunningSwarm> {
  const { model = DEMO_MODEL, ...given } = check("startSwarm", schema, options);
  const entry = join(PACKAGE_ROOT, "bin/shoal.js");
  const { value: swarm, ended } = await inContext(
    "startSwarm",
    context,
    async (c) => {
      const { nodes: shards } = given;
      const path = await localModel(model, { ...c, shards });
      const onProgress = (step: LocalSwarmProgress): void =>
        tell(c.events, step);
      const swarm = { entry, model: path, ...given, onProgress };
      return await startLocalSwarm(swarm, c);
    },
  );
  const stop = async (): Promise<void> => {
    await swarm.stop();
    ended();
  };
  const { apiUrl, statusUrl, bootstrap, cluster, processes } = swarm;
  return {
    apiUrl,
    statusUrl,
    bootstrap,
    cluster,
    processes,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** Events of the processes as if they were one's own. */
function tell(events: Events, step: LocalSwarmProgress): void {
  if (step.type === "died") {
    events.error("PROCESS", step.error.message, { code: step.error.code });
  } else if (step.type === "event") {
    const { level, tag, message, fields } = step.event;
    events.emit(level, tag, `${step.name}: ${message}`, fields);
  }
}
