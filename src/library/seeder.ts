import { z } from "zod";
import { localModel } from "../hub/index.ts";
import { startSeeder as startRole } from "../roles/index.ts";
import { check, MODEL, modeFields, text, whole } from "./check.ts";
import {
  type DiagnosticsOptions,
  diagnosticsFields,
  diagnosticsOf,
  memberFields,
  type MemberOptions,
  membershipOf,
  type TransferOptions,
  transferFields,
  transfersOf,
} from "./member-options.ts";
import { running, type RunningRole, type StartContext } from "./run.ts";

export interface SeederOptions
  extends MemberOptions, DiagnosticsOptions, TransferOptions {
  /** The GGUF (of a model in several files, any one), or a reference: `hf:owner/repo:Q4_K_M`, `https://…`. What is not here is fetched. */
  model: string;
  /** How many shards the cluster cuts it into. */
  shards: number;
  /** Copies of each part that members with spare disk keep. Default: 2. */
  replication?: number | undefined;
  /** Type of keys and values: f16 is llama.cpp's own, bf16 makes replies independent of what else runs, q8_0 too with half the memory. Default: "f16". */
  kv?: "f16" | "bf16" | "q8_0" | undefined;
  /** Sessions share a decode only where no bit changes, wherever it is faster, or never. Default: "exact". */
  batch?: "exact" | "fast" | "off" | undefined;
  /** HTTP(S) URLs of the model's files, in order: nodes use them as one more source. Default: none. */
  origin?: readonly string[] | undefined;
}

const schema = z.strictObject({
  ...memberFields,
  ...diagnosticsFields,
  ...transferFields,
  model: text(MODEL),
  shards: whole(1, 65_535),
  replication: whole(1, 64).optional(),
  ...modeFields,
  origin: z
    .array(
      z.url({ protocol: /^https?$/, error: "must be an HTTP or HTTPS URL" }),
      { error: "must be a list of URLs" },
    )
    .readonly()
    .default([]),
});

/** Publishes a model for a cluster and shares it straight from its file. Resolves once it is published. */
export async function startSeeder(
  options: SeederOptions,
  context: StartContext = {},
): Promise<RunningRole> {
  const given = check("startSeeder", schema, options);
  const { model, shards, replication, kv, batch, origin } = given;
  const role = {
    ...membershipOf(given),
    ...transfersOf(given),
    diagnostics: diagnosticsOf(given),
    shards,
    replication,
    kv,
    batch,
    origin,
  };
  return await running("startSeeder", context, async (c) => {
    const path = await localModel(model, { ...c, shards });
    return await startRole({ ...role, model: path }, c);
  });
}
