/**
 * A run of a process under its identity, from its start to its end, in its own signed words. A key that was copied to a second machine has two
 * at once. What proves that a run lives is that its words name another, of which it can only have heard after that one's start.
 */
import { decode, encode } from "@ipld/dag-cbor";
import { z } from "zod";
import { ShoalError } from "../lib/index.ts";
import { verify } from "../network/index.ts";
import { ANNOUNCEMENT, type Sealed } from "./announcement.ts";

const runId = z.string().min(1).max(16);

export const RunRecord = z.object({
  v: z.literal(1),
  kind: z.literal("run"),
  peer: z.string().min(1).max(128),
  /** Drawn at its start. */
  run: runId,
  /** By its machine's clock. */
  startedMs: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
  /** Another run of the same peer that it has heard of. */
  rival: runId.optional(),
  addresses: z.array(z.string().max(512)).max(16),
});
export type RunRecord = z.infer<typeof RunRecord>;

export async function sealRun(
  { rival, ...record }: RunRecord,
  sign: (data: Uint8Array) => Promise<Uint8Array>,
): Promise<Sealed> {
  // dag-cbor has no undefined.
  const bytes = encode(rival === undefined ? record : { ...record, rival });
  return {
    record: Buffer.from(bytes).toString("base64"),
    signature: Buffer.from(await sign(bytes)).toString("base64"),
  };
}

/** Throws ANNOUNCEMENT_INVALID: malformed, oversized, of another peer than `of`, or not signed by it. */
export async function unsealRun(
  sealed: Sealed,
  of: string,
): Promise<RunRecord> {
  const bytes = Buffer.from(sealed.record, "base64");
  if (bytes.length > ANNOUNCEMENT.maxBytes) throw invalid("oversized");
  let value: unknown;
  try {
    value = decode(bytes);
  } catch (error) {
    throw invalid("malformed", error);
  }
  const parsed = RunRecord.safeParse(value);
  if (!parsed.success) throw invalid("malformed");
  const signature = Buffer.from(sealed.signature, "base64");
  if (parsed.data.peer !== of || !(await verify(of, bytes, signature)))
    throw invalid("forged");
  return parsed.data;
}

/** Of two runs, which both decide alike. */
export function isElder(one: RunRecord, other: RunRecord): boolean {
  return (
    one.startedMs < other.startedMs ||
    (one.startedMs === other.startedMs && one.run < other.run)
  );
}

function invalid(reason: string, cause?: unknown): ShoalError {
  return new ShoalError(
    "ANNOUNCEMENT_INVALID",
    `a run's record refused (${reason})`,
    { reason },
    cause,
  );
}
