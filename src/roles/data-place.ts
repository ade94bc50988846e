/** Where a node's engines listen for their neighbours' data connections: at the addresses at which the node itself listens. */
import type { DataPlace } from "../inference/index.ts";
import { ipOf } from "../network/index.ts";

export function dataPlaceOf({
  listen,
  dataPort,
}: {
  listen: readonly string[];
  dataPort?: number | undefined;
}): DataPlace | undefined {
  const hosts = new Set(listen.flatMap((address) => ipOf(address) ?? []));
  const [host] = hosts;
  if (dataPort === undefined || host === undefined) return undefined;
  if (hosts.size === 1) return { host, port: dataPort };
  const hasV6 = [...hosts].some((each) => each.includes(":"));
  return { host: hasV6 ? "::" : "0.0.0.0", port: dataPort };
}
