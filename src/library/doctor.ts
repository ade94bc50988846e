import { z } from "zod";
import { type DoctorReport, runDoctor } from "../doctor/index.ts";
import { systemClock } from "../lib/index.ts";
import { check, durationMs, text } from "./check.ts";
import {
  type ListenOptions,
  listenFields,
  listenOf,
  memberFields,
} from "./member-options.ts";
import { engineFields, type NodeOptions, shardSchema } from "./node.ts";
import { once, type StartContext } from "./run.ts";

/** The node that has trouble, or is to be: as for `startNode`. */
export interface DiagnoseOptions
  extends
    ListenOptions,
    Pick<
      NodeOptions,
      | "shard"
      | "modelDir"
      | "contextLength"
      | "sessions"
      | "gpu"
      | "gpuLayers"
      | "memoryBytes"
    > {
  /** As for `startNode`; what is wrong with an address is found out, not refused. */
  bootstrap: string | readonly string[];
  /** Without it nothing is asked about a cluster. */
  cluster?: string | undefined;
  /** For each question. Default: 10 s. */
  timeoutMs?: number | undefined;
}

const address = text("an address");
const schema = z.strictObject({
  ...listenFields,
  ...engineFields,
  bootstrap: z.union(
    [address.transform((one) => [one]), z.array(address).max(64).readonly()],
    { error: "must be an address or a list of up to 64" },
  ),
  cluster: memberFields.cluster.optional(),
  shard: shardSchema.optional(),
  timeoutMs: durationMs.default(10_000),
});

/** Finds the one cause why a node does not connect, is not ready or is slow, and what to do about it. Joins nothing. */
export async function diagnose(
  options: DiagnoseOptions,
  context: StartContext = {},
): Promise<DoctorReport> {
  const { bootstrap, host, port, ...given } = check(
    "diagnose",
    schema,
    options,
  );
  const node = {
    ...given,
    bootstraps: bootstrap,
    listen: listenOf({ host, port }),
    clock: systemClock,
  };
  return await once("diagnose", context, (c) => runDoctor(node, c));
}
