/** `shoal up`: a whole swarm on this machine, and one prompt through it. */
import { join } from "node:path";
import { Command, Option } from "commander";
import {
  formatBytes,
  formatMs,
  PACKAGE_ROOT,
  ShoalError,
} from "../lib/index.ts";
import { isRemote, localModel } from "../hub/index.ts";
import { MIN_CONTEXT_TOKENS, servedAsText } from "../model/index.ts";
import {
  type LocalSwarm,
  type LocalSwarmProgress,
  type Standby,
  STANDBY_POLICIES,
  startLocalSwarm,
} from "../roles/index.ts";
import { withSampling } from "./chat.ts";
import { type GpuFlags, withGpu } from "./gpu-options.ts";
import { type ModeFlags, withMode } from "./mode-options.ts";
import {
  common,
  examples,
  MODEL_HELP,
  ollamaOption,
  option,
} from "./options.ts";
import { outliveOutput, tell } from "./output.ts";
import { type PatienceFlags, withPatience } from "./patience-options.ts";
import { printReply } from "./print-reply.ts";
import {
  requestsOf,
  type RequestFlags,
  withRequests,
} from "./request-options.ts";
import { newEvents, stopSignal } from "./run-role.ts";
import { streamChat } from "./stream-chat.ts";
import { port, wholeNumber } from "./values.ts";

const DEMO_MODEL = join(PACKAGE_ROOT, "models/demo/shoal-demo.gguf");
const ENTRY = join(PACKAGE_ROOT, "bin/shoal.js");

/** Room for a story. All but the reply goes to standard error, so that `shoal up --once > story.txt` holds the story. */
const MAX_TOKENS = 256;

interface UpFlags extends GpuFlags, ModeFlags, PatienceFlags, RequestFlags {
  model?: string;
  nodes: number;
  prompt: string;
  maxTokens: number;
  temperature?: number;
  seed?: number;
  apiPort?: number;
  rendezvousPort?: number;
  diagnosticsPort?: number;
  ollama?: number;
  context?: number;
  standby?: Standby;
  once?: boolean;
  fromSeeder?: boolean;
  verbose?: boolean;
}

export function upCommand(): Command {
  const command = new Command("up")
    .description(
      "start a rendezvous, shard nodes and a gateway on this machine, and ask a first question",
    )
    .argument("[model]", MODEL_HELP)
    .optionsGroup("Swarm options:")
    .addOption(
      option(
        "--model <model>",
        "the same as the argument; default: the demo model",
      ),
    )
    .addOption(
      option(
        "--nodes <n>",
        "number of shard nodes, each a process",
        wholeNumber(1, 64),
      ).default(4),
    )
    .addOption(
      option(
        "--context <tokens>",
        "most tokens of one session, prompt and reply together (default: the model's limit, up to 32768, as far as memory allows)",
        wholeNumber(MIN_CONTEXT_TOKENS, 1 << 24),
      ),
    )
    .addOption(
      option(
        "--standby <policy>",
        "let nodes load each other's shards as standbys, as far as memory allows, and take over lost ones (default: off)",
      ).choices(STANDBY_POLICIES),
    )
    .addOption(
      new Option(
        "--from-seeder",
        "only a seeder has the model: the nodes start empty and download their shards",
      ),
    )
    .addOption(new Option("--once", "stop after the first reply"))
    .addOption(new Option("--verbose", "show the log of every process"));
  withRequests(command);
  withPatience(command);
  withGpu(withMode(command))
    .optionsGroup("Port options (0 picks a free port):")
    .addOption(
      option(
        "--rendezvous-port <port>",
        "UDP and TCP port of the rendezvous (default: 51820, or a free one)",
        port,
      ),
    )
    .addOption(
      option(
        "--diagnostics-port <port>",
        "port of the page (default: 51821, or a free one)",
        port,
      ),
    )
    .addOption(
      option(
        "--api-port <port>",
        "port of the API (default: 51822, or a free one)",
        port,
      ),
    )
    .addOption(ollamaOption());
  withSampling(command, MAX_TOKENS).addOption(
    option("--prompt <text>", "first question").default("Tell me a story."),
  );
  return examples(
    command,
    "shoal up",
    "shoal up model.gguf --once --nodes 8 --prompt 'Hello!'",
    "shoal up hf:owner/repo:Q4_K_M",
  ).action(async (argument: string | undefined, _, self: Command) => {
    const flags = self.opts<UpFlags>();
    const options = common(self);
    const model = modelOf(argument, self);
    const usual = isRemote(model) ? "info" : "warn";
    const logLevel = flags.verbose === true ? "debug" : usual;
    const events = newEvents({ ...options, logLevel }, process.stderr);
    // With nobody to read the reply the swarm is stopped, in order.
    const unread = new AbortController();
    outliveOutput((error) => unread.abort(error));
    const signal = AbortSignal.any([stopSignal(), unread.signal]);
    const { paths } = options;
    const died = new AbortController();
    const onProgress = (progress: LocalSwarmProgress): void => {
      if (progress.type === "died") died.abort(progress.error);
      if (progress.type === "event" && flags.verbose === true) {
        const { level, tag, message, fields } = progress.event;
        events.emit(level, tag, `${progress.name}: ${message}`, fields);
      }
      const line = describe(progress);
      if (line !== undefined) tell(line);
    };
    const { nodes, context, kv, batch, gpu, gpuLayers, fromSeeder } = flags;
    const { standby } = flags;
    const { apiPort, rendezvousPort, diagnosticsPort } = flags;
    const { readyTimeout, recoveryTimeout, ollama: ollamaPort } = flags;
    const path = await localModel(model, {
      events,
      paths,
      signal,
      shards: nodes,
    });
    const startedMs = performance.now();
    const swarm = await startLocalSwarm(
      {
        entry: ENTRY,
        model: path,
        nodes,
        apiPort,
        rendezvousPort,
        diagnosticsPort,
        ollamaPort,
        contextLength: context,
        kv,
        batch,
        gpu,
        gpuLayers,
        standby,
        fromSeeder,
        readyTimeout,
        recoveryTimeout,
        ...requestsOf(flags),
        onProgress,
      },
      { events, paths, signal },
    );
    try {
      tell(
        `ready after ${formatMs(performance.now() - startedMs)}: chat at ${swarm.apiUrl}, OpenAI's API at ${swarm.apiUrl}/v1, the page at ${swarm.statusUrl}`,
        "",
      );
      const asking = AbortSignal.any([signal, died.signal]);
      await ask(swarm, flags, { signal: asking, ascii: options.ascii });
      if (flags.once !== true) await stayUp(swarm, signal);
      unread.signal.throwIfAborted();
    } finally {
      await swarm.stop();
    }
    process.exit(0);
  });
}

/** The argument goes before a variable and the configuration file. */
function modelOf(argument: string | undefined, self: Command): string {
  const { model = DEMO_MODEL } = self.opts<UpFlags>();
  if (argument !== undefined && self.getOptionValueSource("model") === "cli")
    throw new ShoalError(
      "USAGE",
      "name the model once: as the argument, or with --model",
      { option: "--model" },
    );
  return argument ?? model;
}

async function ask(
  swarm: LocalSwarm,
  flags: UpFlags,
  { signal, ascii }: { signal: AbortSignal; ascii: boolean },
): Promise<void> {
  const { prompt, maxTokens, temperature, seed } = flags;
  tell(...`> ${prompt}`.split("\n"), "");
  const messages = [{ role: "user" as const, content: prompt }];
  const request = { messages, maxTokens, temperature, seed };
  const result = await printReply(
    (listener) => streamChat(swarm.apiUrl, request, listener, { signal }),
    { ascii },
  );
  const seconds = (result.totalMs - result.firstTokenMs) / 1000;
  const rate =
    result.tokens > 1 && seconds > 0
      ? `${((result.tokens - 1) / seconds).toFixed(1)} tokens/s`
      : "-";
  tell(
    "",
    `${result.tokens} tokens by ${flags.nodes} ${flags.nodes === 1 ? "node" : "nodes"}, ${rate}, first token after ${formatMs(result.firstTokenMs)}`,
  );
  if (result.characters === 0)
    throw new ShoalError("STAGE_FAILED", "the reply is empty");
}

async function stayUp(swarm: LocalSwarm, signal: AbortSignal): Promise<void> {
  tell(
    "",
    "The swarm stays up until Ctrl-C. From another terminal, in this folder:",
    "",
    `    npm exec shoal -- chat --api ${swarm.apiUrl} "How do I add a node?"`,
    "",
  );
  if (!signal.aborted)
    await new Promise((resolve) =>
      signal.addEventListener("abort", resolve, { once: true }),
    );
  tell("stopping …");
}

function describe(progress: LocalSwarmProgress): string | undefined {
  switch (progress.type) {
    case "model":
      return [
        `${progress.name}: ${progress.layers} layers, ${formatBytes(progress.sizeBytes)}`,
        ...(progress.projectors.length > 0
          ? [servedAsText(progress.projectors)]
          : []),
      ].join(", ");
    case "ready":
      return `${progress.name} ready  ${progress.info.url ?? progress.info.addresses[0] ?? ""}`;
    case "died":
      return progress.error.message;
    case "event":
      return undefined;
    default:
      return progress satisfies never;
  }
}
