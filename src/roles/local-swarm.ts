/**
 * A whole swarm on this machine: a rendezvous, shard nodes and a gateway, each a process of its own, over real sockets on
 * loopback. What `shoal up` runs.
 *
 * Start: 1. ports are chosen, 2. the model is split (once; kept), 3. rendezvous, 4. nodes and gateway together, 5. the gateway says
 * that the swarm is ready.
 */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkModel, chooseGpu, defaultThreads } from "../engine/index.ts";
import { type GgufModel, openModel } from "../gguf/index.ts";
import {
  checkShardCount,
  describeModel,
  projectorsBeside,
} from "../model/index.ts";
import {
  availableMemory,
  isShoalError,
  type SaidMode,
  type ShoalError,
  type ShoalEvent,
  withDeadline,
  removeTree,
} from "../lib/index.ts";
import { ChildRole } from "./child-role.ts";
import { choosePorts, type LocalSwarmPorts } from "./local-ports.ts";
import type { Standby } from "./node-options.ts";
import type { RoleContext, RoleInfo } from "./role.ts";
import { usableBytes } from "../placement/index.ts";
import { splitOnce } from "../weights/index.ts";

export interface LocalSwarmOptions extends SaidMode {
  /** The program to start for each role. */
  entry: string;
  /** GGUF; of a model in several files, any one. */
  model: string;
  nodes: number;
  /** Ports; 0 is any free one, undefined the standard one, or a free one if that is taken. */
  apiPort?: number | undefined;
  rendezvousPort?: number | undefined;
  /** Of the rendezvous' status. */
  diagnosticsPort?: number | undefined;
  /** Where the gateway also listens, for Ollama's clients; undefined: nowhere. */
  ollamaPort?: number | undefined;
  contextLength?: number | undefined;
  /** Of each node; undefined: the cores divided among them. */
  threads?: number | undefined;
  /** Of each node. */
  gpu?: string | undefined;
  gpuLayers?: number | undefined;
  /** Of each node; undefined: "off". */
  standby?: Standby | undefined;
  cluster?: string;
  /** Seconds that a reply waits for a lost stage. */
  recoveryTimeout?: number | undefined;
  /** Seconds that a request waits while the swarm is not ready. */
  readyTimeout?: number | undefined;
  /** Of the gateway: more host names, and no unknown fields. */
  allowHosts?: readonly string[] | undefined;
  strict?: boolean | undefined;
  /** One seeder has the model; the nodes start empty and fetch their shards. */
  fromSeeder?: boolean | undefined;
  /** Each fact as it comes: a process is ready, a child's event, a death after the start. */
  onProgress?: (progress: LocalSwarmProgress) => void;
}

export type LocalSwarmProgress =
  | {
      type: "model";
      name: string;
      layers: number;
      sizeBytes: number;
      projectors: string[];
    }
  | { type: "ready"; name: string; info: RoleInfo }
  | { type: "event"; name: string; event: ShoalEvent }
  | { type: "died"; name: string; error: ShoalError };

export interface LocalSwarm {
  /** The gateway's base URL. */
  apiUrl: string;
  /** The rendezvous' page. */
  statusUrl: string;
  bootstrap: string;
  cluster: string;
  /** Each process has its own home in it, by its name. Gone when the swarm is. */
  home: string;
  /** Names and process ids. */
  processes: { name: string; pid: number | undefined }[];
  stop(): Promise<void>;
}

const RENDEZVOUS = "rendezvous";
/** Starting is CPU-bound: many processes on few cores. A big model is read from disk besides. */
const READY_TIMEOUT_MS = 180_000;
/** A role that was told to stop has this long before it is killed; the rendezvous half of it. Under the 5 s that Ctrl-C may take. */
const STOP_GRACE_MS = 3_000;

/** Rejects with what a process died of, PORT_IN_USE if a port that was asked for is taken, or DEADLINE. */
export async function startLocalSwarm(
  options: LocalSwarmOptions,
  context: RoleContext,
): Promise<LocalSwarm> {
  const ports = await choosePorts(options);
  const model = await openModel(options.model);
  const description = describeModel(model);
  checkShardCount(description, options.nodes); // before it is read or anything starts
  const { name, layerCount: layers } = description;
  const sizeBytes = model.files.reduce((sum, file) => sum + file.sizeBytes, 0);
  const projectors = await projectorsBeside(options.model);
  const about = { name, layers, sizeBytes, projectors };
  options.onProgress?.({ type: "model", ...about });
  try {
    return await startOn(ports, model, options, context);
  } catch (error) {
    if (!isShoalError(error, "PORT_IN_USE")) throw error;
    // Another program was quicker; unless the port was asked for, there are others.
    const others = await choosePorts(options, "free");
    return await startOn(others, model, options, context);
  }
}

async function startOn(
  ports: LocalSwarmPorts,
  model: GgufModel,
  options: LocalSwarmOptions,
  { events, paths, signal }: RoleContext,
): Promise<LocalSwarm> {
  const { entry, nodes, cluster = "local", onProgress } = options;
  await using stack = new AsyncDisposableStack();
  const children: ChildRole[] = [];
  const dead = Promise.withResolvers<never>();
  dead.promise.catch(() => {}); // nobody may be waiting yet
  let isUp = false;
  const start = (
    name: string,
    args: readonly string[],
    onSwarm?: (ready: boolean) => void,
  ): ChildRole => {
    const onEvent = (event: ShoalEvent): void =>
      onProgress?.({ type: "event", name, event });
    const child = new ChildRole({ name, entry, args, onEvent, onSwarm });
    children.push(child);
    void child.exited.then((error) => {
      dead.reject(error);
      if (isUp && child.wanted) onProgress?.({ type: "died", name, error });
    });
    void child.ready.then(
      (info) => onProgress?.({ type: "ready", name, info }),
      () => {},
    );
    return child;
  };
  const home = await mkdtemp(join(tmpdir(), "shoal-up-"));
  stack.defer(() => removeTree(home));
  // Two steps for all processes: whoever says goodbye is still heard. Each step takes its grace once.
  stack.defer(async () => {
    const rest = children.filter(({ name }) => name !== RENDEZVOUS);
    await Promise.all(rest.map((child) => child.stop(STOP_GRACE_MS)));
    const last = children.filter(({ name }) => name === RENDEZVOUS);
    await Promise.all(last.map((child) => child.stop(STOP_GRACE_MS / 2)));
  });
  const checked = checkModel(model); // beside the rendezvous' start
  checked.catch(() => {});
  const common = (name: string): string[] => [
    "--home",
    join(home, name),
    "--log-level",
    "debug",
  ];

  const meeting = ["rendezvous", "--listen", `127.0.0.1:${ports.rendezvous}`];
  const status = ["--diagnostics-host", "127.0.0.1", "--diagnostics-port"];
  const rendezvous = await start(RENDEZVOUS, [
    ...meeting,
    ...status,
    String(ports.diagnostics),
    "--api",
    `http://127.0.0.1:${ports.api}`,
    ...common(RENDEZVOUS),
  ]).whenReady(READY_TIMEOUT_MS, signal);
  const bootstrap = bothTransports(rendezvous);
  const joined = [
    "--bootstrap",
    bootstrap,
    "--cluster",
    cluster,
    "--listen",
    "127.0.0.1:0",
  ];
  const threads = String(options.threads ?? defaultThreads(nodes));
  const asked = {
    "--memory": await memoryOfEach(nodes, options.gpu),
    "--context": options.contextLength,
    "--gpu": options.gpu,
    "--gpu-layers": options.gpuLayers,
    "--standby": options.standby,
  };
  const computing = argumentsOf(asked);
  const mode = argumentsOf({
    "--kv": options.kv,
    "--batch": options.batch,
  });
  await checked;
  const { fromSeeder = false } = options;
  /** What each node has at its start: the shards in a folder, or nothing. */
  const given: string[] = [];
  if (fromSeeder) {
    const args = ["seed", options.model, "--shards", String(nodes), ...mode];
    const seeder = start("seeder", [...args, ...joined, ...common("seeder")]);
    await seeder.whenReady(READY_TIMEOUT_MS, signal);
  } else {
    const cache = join(paths.data, "models");
    const how = { events, signal };
    const split = await splitOnce(model, options.model, nodes, cache, how);
    given.push("--model-dir", split.directory, "--no-seed", ...mode);
  }
  const shards = Array.from({ length: nodes }, (_, i) => {
    const shard = ["--shard", fromSeeder ? String(i) : `${i}/${nodes}`];
    const args = ["node", ...joined, ...shard, ...given, ...computing];
    const rest = ["--threads", threads, ...common(`node-${i}`)];
    return start(`node ${i}`, [...args, ...rest]);
  });
  const swarm = Promise.withResolvers<void>();
  const page = new URL(rendezvous.url ?? "http://127.0.0.1");
  const args = ["serve", ...joined, "--api-port", String(ports.api)];
  const pages = ["127.0.0.1", "localhost"].map(
    (h) => `http://${h}:${page.port}`,
  );
  args.push("--cors-origin", pages.join(","), ...common("gateway"));
  const patience = argumentsOf({
    "--recovery-timeout": options.recoveryTimeout,
    "--ready-timeout": options.readyTimeout,
    "--ollama": options.ollamaPort,
  });
  args.push(...patience);
  for (const name of options.allowHosts ?? []) args.push("--allow-host", name);
  if (options.strict === true) args.push("--strict");
  const gateway = start("gateway", args, (ready) => {
    if (ready) swarm.resolve();
  }).whenReady(READY_TIMEOUT_MS, signal);
  const whole = Promise.all([
    gateway,
    swarm.promise,
    ...shards.map((shard) => shard.whenReady(READY_TIMEOUT_MS, signal)),
  ]);
  const [{ url }] = await withDeadline(
    READY_TIMEOUT_MS,
    "the swarm becoming ready",
    // Whoever dies meanwhile ends the start at once, by its name.
    () => Promise.race([whole, dead.promise]),
    { signal },
  );
  isUp = true;
  const kept = stack.move();
  return {
    apiUrl: url ?? "",
    statusUrl: rendezvous.url ?? "",
    bootstrap,
    cluster,
    home,
    processes: children.map(({ name, pid }) => ({ name, pid })),
    stop: () => kept.disposeAsync(),
  };
}

/** They share the machine's memory: each would take all of it for the context of its sessions. */
async function memoryOfEach(
  nodes: number,
  gpu: string | undefined,
): Promise<number | undefined> {
  const { devices } = await chooseGpu(gpu);
  if (devices.length > 0) return undefined;
  return Math.floor(usableBytes(availableMemory()) / nodes);
}

/** Those that were asked for. */
function argumentsOf(
  asked: Record<string, string | number | undefined>,
): string[] {
  return Object.entries(asked).flatMap(([flag, value]) =>
    value === undefined ? [] : [flag, String(value)],
  );
}

/** "host:port/p2p/id": QUIC first, then TCP, since a rendezvous listens on the same number for both. */
function bothTransports({ addresses, peerId }: RoleInfo): string {
  const [, , host, , port] = (addresses[0] ?? "").split("/");
  return `${host}:${port}/p2p/${peerId}`;
}
