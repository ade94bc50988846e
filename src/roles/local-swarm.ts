/**
 * A whole swarm on this machine: a rendezvous, shard nodes and a gateway, each a process of its own, over real sockets on
 * loopback. What `shoal up` runs.
 *
 * Start: 1. the model is split (once; kept), 2. rendezvous, 3. nodes and gateway together, 4. the gateway says the swarm is ready.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaultThreads } from "../engine/index.ts";
import { openModel } from "../gguf/index.ts";
import { describeModel } from "../model/index.ts";
import {
  isShoalError,
  type ShoalError,
  type ShoalEvent,
  withDeadline,
} from "../lib/index.ts";
import { ChildRole } from "./child-role.ts";
import type { RoleContext, RoleInfo } from "./role.ts";
import { splitOnce } from "../weights/index.ts";

export interface LocalSwarmOptions {
  /** The program to start for each role. */
  entry: string;
  /** GGUF; of a model in several files, any one. */
  model: string;
  nodes: number;
  /** Undefined: the standard port, or a free one if it is taken. */
  apiPort?: number | undefined;
  rendezvousPort?: number | undefined;
  /** Of the rendezvous' status; undefined as for the API. */
  diagnosticsPort?: number | undefined;
  contextLength?: number | undefined;
  /** Of each node; undefined: the cores divided among them. */
  threads?: number | undefined;
  cluster?: string;
  /** One seeder has the model; the nodes start empty and fetch their shards. */
  fromSeeder?: boolean | undefined;
  /** Each fact as it comes: a process is ready, a child's event, a death. */
  onProgress?: (progress: LocalSwarmProgress) => void;
}

export type LocalSwarmProgress =
  | { type: "model"; name: string; layers: number; sizeBytes: number }
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

const PORTS = { rendezvous: 51820, diagnostics: 51821, api: 51822 } as const;
const RENDEZVOUS = "rendezvous";
/** Starting is CPU-bound: many processes on few cores. A big model is read from disk besides. */
const READY_TIMEOUT_MS = 180_000;
/** A role that was told to stop has this long before it is killed; the rendezvous half of it. Under the 5 s that Ctrl-C may take. */
const STOP_GRACE_MS = 3_000;

export async function startLocalSwarm(
  options: LocalSwarmOptions,
  { events, paths, signal }: RoleContext,
): Promise<LocalSwarm> {
  const { entry, nodes, cluster = "local", onProgress } = options;
  await using stack = new AsyncDisposableStack();
  const children: ChildRole[] = [];
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
      if (child.wanted) onProgress?.({ type: "died", name, error });
    });
    void child.ready.then(
      (info) => onProgress?.({ type: "ready", name, info }),
      () => {},
    );
    return child;
  };
  const home = await mkdtemp(join(tmpdir(), "shoal-up-"));
  stack.defer(() => rm(home, { recursive: true, force: true }));
  // Two steps for all processes: whoever says goodbye is still heard. Each step takes its grace once.
  stack.defer(async () => {
    const rest = children.filter(({ name }) => name !== RENDEZVOUS);
    await Promise.all(rest.map((child) => child.stop(STOP_GRACE_MS)));
    const last = children.filter(({ name }) => name === RENDEZVOUS);
    await Promise.all(last.map((child) => child.stop(STOP_GRACE_MS / 2)));
  });
  const model = await openModel(options.model);
  const { name, layerCount } = describeModel(model);
  const sizeBytes = model.files.reduce((sum, file) => sum + file.sizeBytes, 0);
  onProgress?.({
    type: "model",
    name,
    layers: layerCount,
    sizeBytes,
  });
  const common = (name: string): string[] => [
    "--home",
    join(home, name),
    "--log-level",
    "debug",
  ];

  const { diagnosticsPort } = options;
  const status = [
    "--diagnostics-host",
    "127.0.0.1",
    "--diagnostics-port",
    String(diagnosticsPort ?? (await freeOf(PORTS.diagnostics))),
  ];
  // Known before the gateway runs, so that the rendezvous' page can name it.
  const apiPort =
    options.apiPort === undefined || options.apiPort === 0
      ? await freeOf(options.apiPort ?? PORTS.api, true)
      : options.apiPort;
  const apiUrl = `http://127.0.0.1:${apiPort}`;
  const rendezvous = await onFreePort(
    PORTS.rendezvous,
    options.rendezvousPort,
    async (port) => {
      const listen = ["--listen", `127.0.0.1:${port}`, "--api", apiUrl];
      const args = ["rendezvous", ...listen, ...status, ...common(RENDEZVOUS)];
      return await start(RENDEZVOUS, args).whenReady(READY_TIMEOUT_MS, signal);
    },
  );
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
  const context =
    options.contextLength === undefined
      ? []
      : ["--context", String(options.contextLength)];
  const { fromSeeder = false } = options;
  /** What each node has at its start: the shards in a folder, or nothing. */
  const given: string[] = [];
  if (fromSeeder) {
    const args = ["seed", options.model, "--shards", String(nodes), ...joined];
    const seeder = start("seeder", [...args, ...common("seeder")]);
    await seeder.whenReady(READY_TIMEOUT_MS, signal);
  } else {
    const cache = join(paths.data, "models");
    const how = { events, signal };
    const split = await splitOnce(model, options.model, nodes, cache, how);
    given.push("--model-dir", split.directory, "--no-seed");
  }
  const shards = Array.from({ length: nodes }, (_, i) => {
    const shard = ["--shard", fromSeeder ? String(i) : `${i}/${nodes}`];
    const args = ["node", ...joined, ...shard, ...given, ...context];
    const rest = ["--threads", threads, ...common(`node-${i}`)];
    return start(`node ${i}`, [...args, ...rest]);
  });
  const swarm = Promise.withResolvers<void>();
  const page = new URL(rendezvous.url ?? "http://127.0.0.1");
  const args = ["serve", ...joined, "--api-port", String(apiPort)];
  const pages = ["127.0.0.1", "localhost"].map(
    (h) => `http://${h}:${page.port}`,
  );
  args.push("--cors-origin", pages.join(","), ...common("gateway"));
  const gateway = start("gateway", args, (ready) => {
    if (ready) swarm.resolve();
  }).whenReady(READY_TIMEOUT_MS, signal);
  const whole = Promise.all([
    gateway,
    swarm.promise,
    ...shards.map((shard) => shard.whenReady(READY_TIMEOUT_MS, signal)),
  ]);
  // Whoever dies meanwhile ends the start at once, by its name.
  const died = Promise.race(
    shards.map(async (child) => Promise.reject(await child.exited)),
  );
  const [{ url }] = await withDeadline(
    READY_TIMEOUT_MS,
    "the swarm becoming ready",
    () => Promise.race([whole, died]),
    { signal },
  );
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

/** "host:port/p2p/id": QUIC first, then TCP, since a rendezvous listens on the same number for both. */
function bothTransports({ addresses, peerId }: RoleInfo): string {
  const [, , host, , port] = (addresses[0] ?? "").split("/");
  return `${host}:${port}/p2p/${peerId}`;
}

/** The port if nobody listens on it, else 0; with `named` the number of another that is free now. */
async function freeOf(port: number, named = false): Promise<number> {
  const server = createServer();
  try {
    await once(server.listen(port, "127.0.0.1"), "listening");
    return (server.address() as AddressInfo).port;
  } catch {
    return named ? await freeOf(0, true) : 0;
  } finally {
    server.close();
  }
}

/** With the port that was asked for; with the standard one, and any other where that is taken. */
async function onFreePort<T>(
  standard: number,
  asked: number | undefined,
  run: (port: number) => Promise<T>,
): Promise<T> {
  try {
    return await run(asked ?? standard);
  } catch (error) {
    if (asked !== undefined || !isShoalError(error, "PORT_IN_USE")) throw error;
    return await run(0);
  }
}
