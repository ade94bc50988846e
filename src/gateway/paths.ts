/** Paths as clients write them: with two slashes, one too many at the end, or from a base address without /v1. */
import type { IncomingMessage } from "node:http";

/** OpenAI's. Not /completions, which is llama.cpp's own there, as in its server. */
const WITHOUT_V1 =
  /^\/(chat\/completions|models|models\/.+|embeddings|responses|responses\/.+)$/;

export function plainPath({ url = "/" }: Pick<IncomingMessage, "url">): string {
  const at = url.indexOf("?");
  const path = at < 0 ? url : url.slice(0, at);
  const query = at < 0 ? "" : url.slice(at);
  const plain = path.replace(/\/{2,}/g, "/").replace(/(.)\/$/, "$1");
  return (WITHOUT_V1.test(plain) ? `/v1${plain}` : plain) + query;
}
