/** What OPEN tells a stage about a session. */
import { z } from "zod";
import { samplingSchema } from "../engine/index.ts";
import { BATCH_MODES, KV_TYPES, ShoalError } from "../lib/index.ts";
import type { PipelineFrame } from "../ring/index.ts";
import { MAX_STAGES } from "../routing/index.ts";
import { RouteStage } from "./route.ts";

export const OpenBody = z.object({
  /** The model: CID of its manifest. */
  manifest: z.string().max(128),
  route: z.array(RouteStage).min(1).max(MAX_STAGES),
  promptTokens: z.number().int().min(1).max(0x7fffffff),
  maxTokens: z.number().int().min(1).max(0x7fffffff),
  /** Tokens that may be generated before the gateway gives more. */
  credit: z.number().int().min(1).max(0x7fffffff),
  sampling: samplingSchema,
  /** The prompt's embedding is wanted, and no token. */
  embeds: z.boolean().optional(),
  /** Of Mirostat, with the last token of an earlier session. */
  mu: z.number().optional(),
  /** The cluster's mode (`computeModeOf`). A stage of another refuses. */
  kv: z.enum(KV_TYPES).optional(),
  batch: z.enum(BATCH_MODES).optional(),
});
export type OpenBody = z.infer<typeof OpenBody>;

/** What a stage tells the gateway as it opens a session: how it takes the prompt. */
export const OpenedBody = z.object({
  /** The most tokens in one decode. */
  batchTokens: z.number().int().min(1).max(65_536),
  /** Milliseconds that decodes of so many tokens of a prompt take here, as measured at load. */
  chunkMs: z
    .array(z.tuple([z.number().int().min(1).max(65_536), z.number().min(0)]))
    .max(16),
  /** What it has of the session's tokens from an earlier one. */
  kept: z
    .object({
      /** The first ones; it needs none of them again. */
      tokens: z.number().int().min(1).max(0x7fffffff),
      /** It can also go on after fewer, but no fewer than these. */
      earliest: z.number().int().min(0).max(0x7fffffff),
      /** So many of them it can send to the next stage again. */
      sent: z.number().int().min(0).max(0x7fffffff),
    })
    .optional(),
});
export type OpenedBody = z.infer<typeof OpenedBody>;

export interface Open extends OpenBody {
  /** The prompt and what was generated after it, i32 little-endian. */
  known: Uint8Array;
}

/** The body of an OPEN frame. Throws FRAME_MALFORMED. */
export function parseOpen({ body, count }: PipelineFrame): Open {
  const open = parse("OPEN", OpenBody, body.subarray(4 * count));
  const { promptTokens, maxTokens } = open;
  if (count < promptTokens || count > promptTokens + maxTokens)
    throw new ShoalError(
      "FRAME_MALFORMED",
      `OPEN: ${count} tokens for a prompt of ${promptTokens} and ${maxTokens} more`,
    );
  return { ...open, known: body.subarray(0, 4 * count) };
}

/** The body of an OPENED frame. Throws FRAME_MALFORMED. */
export function parseOpened(frame: PipelineFrame): OpenedBody {
  return parse("OPENED", OpenedBody, frame.body);
}

function parse<S extends z.ZodType>(
  what: string,
  schema: S,
  body: Uint8Array,
): z.infer<S> {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(body).toString());
  } catch (error) {
    throw new ShoalError("FRAME_MALFORMED", `${what} is not JSON`, {}, error);
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success)
    throw new ShoalError(
      "FRAME_MALFORMED",
      `${what}: ${z.prettifyError(parsed.error)}`,
    );
  return parsed.data;
}
