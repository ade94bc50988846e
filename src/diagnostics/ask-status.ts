/** Asks a running process how it and its cluster are: any member or rendezvous over the network, or a role's page over HTTP. */
import { GET_NODE_STATUS, SWARM_STATUS } from "../cluster/index.ts";
import {
  type ClusterStatus,
  type NodeStatus,
  nodeStatusSchema,
} from "../status/index.ts";
import {
  deadline,
  type EventSink,
  isShoalError,
  ShoalError,
  VERSION,
} from "../lib/index.ts";
import {
  Commands,
  createHost,
  type Host,
  parseTarget,
} from "../network/index.ts";

/** What was answered, checked against the schema. */
export interface AskedStatus {
  /** Of the one who answered; null where it tells only of the cluster. */
  node: NodeStatus | null;
  /** The cluster that was asked for, or the only one there is. */
  cluster: ClusterStatus | null;
}

/** Of a status over HTTP: what GET_NODE_STATUS may be at most, and room for its indentation. */
const MAX_STATUS_BYTES = 8 * 1024 * 1024;

export interface AskMembersOptions {
  /** As people type them; all are asked at once, the first answer counts. */
  targets: readonly string[];
  cluster: string;
  events: EventSink;
  /** For all of it. */
  timeoutMs: number;
  signal: AbortSignal;
}

/** Throws BOOTSTRAP_UNREACHABLE where none can be reached, else what the one that was reached said (CLUSTER_UNKNOWN …). */
export async function askMembers(
  options: AskMembersOptions,
): Promise<AskedStatus> {
  const { targets, cluster, events, timeoutMs } = options;
  await using stack = new AsyncDisposableStack();
  const { signal, clear } = deadline(
    timeoutMs,
    "asking for the status",
    options.signal,
  );
  stack.defer(clear);
  const host = await createHost({ listen: [], events, version: VERSION });
  const commands = new Commands(host);
  await host.start();
  stack.defer(() => host.stop());
  const wait = { timeoutMs, signal };
  const ask = async (target: string): Promise<AskedStatus> => {
    const peer = await reach(host, target, wait);
    const [node, swarm] = await Promise.all([
      nodeStatusOf(commands, peer, wait),
      commands.call(
        peer,
        SWARM_STATUS.name,
        { cluster },
        SWARM_STATUS.result,
        wait,
      ),
    ]);
    return { node, cluster: swarm };
  };
  try {
    return await Promise.any(targets.map(ask));
  } catch (error) {
    options.signal.throwIfAborted();
    throw worstOf(error);
  }
}

interface Wait {
  timeoutMs: number;
  signal: AbortSignal;
}

/** Null where the peer does not tell of itself. */
async function nodeStatusOf(
  commands: Commands,
  peer: string,
  wait: Wait,
): Promise<NodeStatus | null> {
  try {
    return await commands.call(
      peer,
      GET_NODE_STATUS.name,
      {},
      GET_NODE_STATUS.result,
      wait,
    );
  } catch (error) {
    if (isShoalError(error, "COMMAND_UNKNOWN", "COMMAND_UNAUTHORIZED"))
      return null;
    throw error;
  }
}

async function reach(host: Host, target: string, wait: Wait): Promise<string> {
  try {
    return (await host.connect(parseTarget(target), wait)).peer;
  } catch (error) {
    const { message } = ShoalError.from(error);
    throw new ShoalError(
      "BOOTSTRAP_UNREACHABLE",
      `${target}: ${message}`,
      { bootstrap: target },
      error,
    );
  }
}

/** Who answered, and what with, tells more than who could not be reached. */
function worstOf(error: unknown): ShoalError {
  const errors = (error instanceof AggregateError ? error.errors : [error]).map(
    (one) => ShoalError.from(one),
  );
  return (
    errors.find(({ code }) => code !== "BOOTSTRAP_UNREACHABLE") ??
    new ShoalError(
      "BOOTSTRAP_UNREACHABLE",
      errors.map(({ message }) => message).join("; "),
    )
  );
}

export interface AskUrlOptions {
  /** Of a role's page: http://127.0.0.1:51821 */
  url: string;
  /** Undefined: the one it knows, if it knows one. */
  cluster?: string | undefined;
  timeoutMs: number;
  signal: AbortSignal;
}

/** Throws DIAL_FAILED, DEADLINE, COMMAND_MALFORMED (no status of ours), CLUSTER_UNKNOWN. */
export async function askUrl(options: AskUrlOptions): Promise<AskedStatus> {
  const { url, cluster: wanted, timeoutMs } = options;
  const late = AbortSignal.timeout(timeoutMs);
  const signal = AbortSignal.any([options.signal, late]);
  let text: string;
  try {
    const response = await fetch(new URL("/api/v1/status", url), { signal });
    text = await boundedText(response);
    if (!response.ok) throw noStatus(url, `it answers ${response.status}`);
  } catch (error) {
    options.signal.throwIfAborted();
    if (error instanceof ShoalError) throw error;
    throw late.aborted
      ? new ShoalError(
          "DEADLINE",
          `${url}: no answer within ${timeoutMs} ms`,
          { url, timeoutMs },
          error,
        )
      : new ShoalError(
          "DIAL_FAILED",
          `nothing answers at ${url}: ${causeOf(error)}`,
          { url },
          error,
        );
  }
  const node = parseStatus(text, url);
  if (wanted === undefined) {
    const [only, ...others] = node.clusters;
    return { node, cluster: others.length === 0 ? (only ?? null) : null };
  }
  const cluster = node.clusters.find((c) => c.cluster === wanted);
  if (cluster === undefined) {
    throw new ShoalError(
      "CLUSTER_UNKNOWN",
      `${url} knows no cluster ${wanted}`,
      { cluster: wanted },
    );
  }
  return { node, cluster };
}

async function boundedText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of response.body ?? []) {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_STATUS_BYTES) {
      throw noStatus(
        response.url,
        `its answer is over ${MAX_STATUS_BYTES} bytes`,
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parseStatus(text: string, url: string): NodeStatus {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw noStatus(url, "its answer is not JSON", error);
  }
  const parsed = nodeStatusSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw noStatus(
    url,
    `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "another shape"}`,
  );
}

function noStatus(url: string, what: string, cause?: unknown): ShoalError {
  return new ShoalError(
    "COMMAND_MALFORMED",
    `${url} gives no status of Shoal's: ${what}`,
    { url },
    cause,
  );
}

/** fetch says "fetch failed" and keeps why. */
function causeOf(error: unknown): string {
  const { cause } = error as { cause?: { code?: unknown; message?: unknown } };
  const why = cause?.code ?? cause?.message;
  if (typeof why === "string" && why !== "") return why;
  return error instanceof Error ? error.message : String(error);
}
