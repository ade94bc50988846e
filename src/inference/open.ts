/** What OPEN tells a stage about a session. */
import { z } from "zod";
import { samplingSchema } from "../engine/index.ts";
import { ShoalError } from "../lib/index.ts";
import type { PipelineFrame } from "./frames.ts";
import { MAX_STAGES, RouteStage } from "./route.ts";

export const OpenBody = z.object({
  /** The model: CID of its manifest. */
  manifest: z.string().max(128),
  route: z.array(RouteStage).min(1).max(MAX_STAGES),
  promptTokens: z.number().int().min(1).max(0x7fffffff),
  maxTokens: z.number().int().min(1).max(0x7fffffff),
  sampling: samplingSchema,
});
export type OpenBody = z.infer<typeof OpenBody>;

/** The body of an OPEN frame. Throws FRAME_MALFORMED. */
export function parseOpen(frame: PipelineFrame): OpenBody {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(frame.body).toString());
  } catch (error) {
    throw new ShoalError("FRAME_MALFORMED", "OPEN is not JSON", {}, error);
  }
  const parsed = OpenBody.safeParse(value);
  if (!parsed.success)
    throw new ShoalError(
      "FRAME_MALFORMED",
      `OPEN: ${z.prettifyError(parsed.error)}`,
    );
  return parsed.data;
}
