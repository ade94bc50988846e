/**
 * `GET /` for a browser: the page, with a conversation. The rest of the paths are the API's. Programs that ask for `/` get what they
 * always got; a browser is told by its Accept header.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import {
  PAGE_FOLDER,
  type PageFiles,
  readPage,
  SECURITY_HEADERS,
  sendNotBuilt,
  sendPage,
} from "../page/index.ts";

/** Its routes. They show nothing of the cluster, so that they need no key: the page asks for it. */
export const PAGE_ROUTES: ReadonlySet<string | undefined> = new Set([
  "/",
  "/assets/*",
  "/favicon.svg",
]);

/** `folder` is that of the built page. */
export function pageRoutes(app: FastifyInstance, folder = PAGE_FOLDER): void {
  let page: Promise<PageFiles> | undefined;
  const answer = async (
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<unknown> => {
    const path = request.url.split("?", 1)[0] ?? "/";
    if (path === "/" && !isBrowser(request)) return reply.callNotFound();
    page ??= readPage(folder);
    const files = await page;
    const file = files.get(path === "/" ? "/chat.html" : path);
    const vary = [reply.getHeader("vary"), "accept"].filter(Boolean).join(", ");
    reply.headers({ ...SECURITY_HEADERS, vary });
    if (file !== undefined) return sendPage(request, reply, file);
    return path === "/"
      ? sendNotBuilt(reply, "the API, <code>shoal chat</code>")
      : reply.callNotFound();
  };
  for (const url of PAGE_ROUTES) if (url !== undefined) app.get(url, answer);
}

function isBrowser({ headers }: FastifyRequest): boolean {
  return /\btext\/html\b/i.test(headers.accept ?? "");
}
