/**
 * Who may use the API. By default: any program on this machine, and no web page. A page can reach loopback in two ways, and both are
 * closed: a cross-origin request (no CORS headers unless `corsOrigin`; bodies must be application/json, for which browsers ask permission)
 * and a foreign name that resolves to 127.0.0.1 (such a Host is refused).
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { isLoopback, ShoalError } from "../lib/index.ts";
import { HEALTH_ROUTES } from "./openai/models.ts";
import { PAGE_ROUTES } from "./page.ts";

export interface GuardOptions {
  host: string;
  apiKey: string | undefined;
  corsOrigin: string | undefined;
  pagePort: number | undefined;
}

export function guard(app: FastifyInstance, options: GuardOptions): void {
  const { apiKey } = options;
  if (options.corsOrigin !== undefined || options.pagePort !== undefined) {
    app.addHook("onRequest", async (request, reply) => {
      reply.header("vary", "origin");
      const origin = allowedOrigin(options, request);
      if (origin === undefined) return;
      allowOrigin(origin, request, reply);
      // A preflight has no credentials and needs only these headers.
      if (request.method === "OPTIONS") await reply.code(204).send();
    });
  }
  if (apiKey !== undefined) {
    const expected = digest(apiKey);
    app.addHook("onRequest", async (request) => {
      // By the route, not the URL: /%76%31/models is /v1/models too.
      const { url } = request.routeOptions;
      if (!HEALTH_ROUTES.includes(url ?? "") && !PAGE_ROUTES.has(url))
        checkKey(expected, request);
    });
  } else if (isLoopback(options.host)) {
    app.addHook("onRequest", async (request) => checkHost(request));
  }
}

/** The page's origin if it may use the API: it is listed, or it is the diagnostics page under the same name. */
function allowedOrigin(
  { corsOrigin, pagePort }: GuardOptions,
  request: FastifyRequest,
): string | undefined {
  if (corsOrigin === "*") return "*";
  const { origin, host = "" } = request.headers;
  if (origin === undefined) return undefined;
  const page = `http://${host.replace(/:\d+$/, "")}:${pagePort}`;
  const isPage = pagePort !== undefined && origin === page;
  return isPage || corsOrigin?.split(",").includes(origin) === true
    ? origin
    : undefined;
}

function allowOrigin(
  origin: string,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  reply.headers({
    "access-control-allow-origin": origin,
    "access-control-expose-headers": "x-request-id, retry-after",
  });
  if (request.method !== "OPTIONS") return;
  const asked = request.headers["access-control-request-headers"];
  reply.headers({
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers": asked ?? "authorization, content-type",
    "access-control-max-age": "600",
  });
}

function checkKey(expected: Buffer, request: FastifyRequest): void {
  const given = /^Bearer +(.+)$/i.exec(request.headers.authorization ?? "");
  const key = given?.[1];
  if (key === undefined || !timingSafeEqual(digest(key), expected)) {
    throw new ShoalError(
      "UNAUTHENTICATED",
      key === undefined
        ? "this gateway needs an API key: Authorization: Bearer <key>"
        : "the API key is wrong",
    );
  }
}

/** Of equal length for any key, which timingSafeEqual needs. */
function digest(key: string): Buffer {
  return createHash("sha256").update(key).digest();
}

function checkHost(request: FastifyRequest): void {
  const { host } = request.headers;
  if (host === undefined) return;
  const name = host.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  if (isIP(name) !== 0 || /(^|\.)localhost$/i.test(name)) return;
  throw new ShoalError(
    "FORBIDDEN",
    `Host ${JSON.stringify(name.slice(0, 253))} is not allowed; use 127.0.0.1 or localhost, or set --api-key`,
  );
}
