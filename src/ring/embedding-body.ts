/** The body of EMBEDDING, docs/PROTOCOL.md: the values of one vector, f32, as llama.cpp pools them: not normalized. */
import { ShoalError } from "../lib/index.ts";

/** Values. No model's rows are wider; DeepSeek V4, the widest, has 28,672 between two stages. */
export const MAX_EMBEDDING = 65_536;

/** Throws FRAME_MALFORMED. */
export function decodeEmbedding(body: Uint8Array): Float32Array {
  const values = new Float32Array(new Uint8Array(body).buffer);
  if (values.every(Number.isFinite)) return values;
  throw new ShoalError("FRAME_MALFORMED", "EMBEDDING has no number");
}
