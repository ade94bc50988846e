/** Asks a role through its page for its status and its cluster's. It does not load the network code, so `shoal top` starts at once. */
import { ShoalError } from "../lib/index.ts";
import {
  type ClusterStatus,
  type NodeStatus,
  nodeStatusSchema,
} from "../status/index.ts";

/** The answer, checked against the schema. */
export interface AskedStatus {
  /** The answering process; null if it reports only the cluster. */
  node: NodeStatus | null;
  /** The requested cluster, or the only one. */
  cluster: ClusterStatus | null;
}

/** Size of a status over HTTP: the bound of GET_NODE_STATUS, with room for indentation. */
const MAX_STATUS_BYTES = 8 * 1024 * 1024;

export interface AskUrlOptions {
  /** Of a role's page: http://127.0.0.1:51821 */
  url: string;
  /** If undefined, the only one it knows. */
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
      `${url} does not know cluster ${wanted}`,
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
        `its answer has more than ${MAX_STATUS_BYTES} bytes`,
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
    `${url} does not give a status of Shoal: ${what}`,
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
