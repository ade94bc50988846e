/** A file of the page as an answer. */
import type { FastifyReply, FastifyRequest } from "fastify";
import type { PageFile } from "./files.ts";
import { contentSecurityPolicy } from "./headers.ts";

/** `api`: the origin of a gateway that the page may ask, besides its own. */
export function sendPage(
  request: FastifyRequest,
  reply: FastifyReply,
  file: PageFile,
  api?: string,
): FastifyReply {
  reply.headers({
    ...policies(api),
    etag: file.etag,
    "cache-control": file.immutable
      ? "public, max-age=31536000, immutable"
      : "no-cache",
  });
  if (request.headers["if-none-match"] === file.etag)
    return reply.code(304).send();
  return reply.type(file.type).send(file.bytes);
}

/** Instead of the page where `npm run build` did not run; `meanwhile` is HTML. */
export function sendNotBuilt(
  reply: FastifyReply,
  meanwhile: string,
): FastifyReply {
  return reply.code(503).headers(policies()).type("text/html; charset=utf-8")
    .send(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Shoal: the page was not built</title>
<h1>The page was not built</h1>
<p>Run <code>npm run build</code> in Shoal's folder and start this process again. Meanwhile: ${meanwhile}.</p>
</html>
`);
}

function policies(api?: string): Record<string, string> {
  return {
    "content-security-policy": contentSecurityPolicy(api),
    "x-frame-options": "DENY",
  };
}
