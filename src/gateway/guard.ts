/**
 * Who may use the API. By default: any program on this machine, and no web page. A page can reach loopback in two ways, and both are
 * closed: a cross-origin request (no CORS headers unless `corsOrigin`; its bodies must be application/json, for which browsers ask
 * permission) and a foreign name that resolves to 127.0.0.1 (such a Host is refused, unless it is one of `allowHosts`).
 */
import { timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { isLoopback, ShoalError, systemClock } from "../lib/index.ts";
import { Caller } from "./caller.ts";
import { Key } from "./keys/key.ts";
import { hashOf } from "./keys/keys-file.ts";
import type { Keys } from "./keys/keys.ts";
import { HEALTH_ROUTES } from "./openai/models.ts";
import { PAGE_ROUTES } from "./page.ts";

export interface GuardOptions {
  host: string;
  apiKey?: string | undefined;
  keys?: Keys | undefined;
  corsOrigin?: string | undefined;
  pagePort?: number | undefined;
  /** Names besides the machine's own. */
  allowHosts: readonly string[];
}

/** Whether a web page sent it that may not use the API. Browsers name its origin with every POST; some say more. */
export function isForeignPage(
  options: GuardOptions,
  request: FastifyRequest,
): boolean {
  const { origin, "sec-fetch-site": site } = request.headers;
  if (allowedOrigin(options, request) !== undefined) return false;
  return origin !== undefined || site === "cross-site" || site === "same-site";
}

export function guard(app: FastifyInstance, options: GuardOptions): void {
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
  const find = finder(options);
  app.decorateRequest("caller");
  app.addHook("onRequest", async (request, reply) => {
    const { remoteAddress } = request.socket;
    request.caller = new Caller(undefined, remoteAddress);
    if (find === undefined) {
      if (isLoopback(options.host)) checkHost(options.allowHosts, request);
      return;
    }
    // By the route, not the URL: /%76%31/models is /v1/models too.
    const { url } = request.routeOptions;
    if (HEALTH_ROUTES.includes(url ?? "") || PAGE_ROUTES.has(url)) return;
    const key = keyOf(request, find);
    if (key === ONLY_KEY) return;
    request.caller = new Caller(key, remoteAddress);
    request.caller.tell(reply);
  });
}

/** The key of `apiKey` has no limits, and those who share it take turns by their addresses. */
const ONLY_KEY = new Key("api-key", {}, systemClock);

/** Undefined: no key is needed. */
function finder({
  apiKey,
  keys,
}: GuardOptions): ((secret: string) => Key | undefined) | undefined {
  if (apiKey === undefined) return keys && ((secret) => keys.find(secret));
  const expected = hashOf(apiKey);
  return (secret) =>
    timingSafeEqual(hashOf(secret), expected) ? ONLY_KEY : keys?.find(secret);
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

const EXPOSED = [
  "x-request-id",
  "retry-after",
  ...["limit", "remaining", "reset"].flatMap((what) => [
    `x-ratelimit-${what}-requests`,
    `x-ratelimit-${what}-tokens`,
  ]),
].join(", ");

function allowOrigin(
  origin: string,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  reply.headers({
    "access-control-allow-origin": origin,
    "access-control-expose-headers": EXPOSED,
  });
  if (request.method !== "OPTIONS") return;
  const asked = request.headers["access-control-request-headers"];
  reply.headers({
    "access-control-allow-methods": "GET, POST, DELETE",
    "access-control-allow-headers": asked ?? "authorization, content-type",
    "access-control-max-age": "600",
  });
}

/** Every way in which clients send a key. Throws UNAUTHENTICATED. */
function keyOf(
  request: FastifyRequest,
  find: (secret: string) => Key | undefined,
): Key {
  const { authorization = "", ...headers } = request.headers;
  const bearer = /^Bearer +(.+)$/i.exec(authorization)?.[1];
  const given = [bearer, headers["x-api-key"], headers["api-key"]].filter(
    (secret) => typeof secret === "string" && secret !== "",
  ) as string[];
  for (const secret of given) {
    const key = find(secret);
    if (key !== undefined) return key;
  }
  throw new ShoalError(
    "UNAUTHENTICATED",
    given.length === 0
      ? "this gateway needs an API key: Authorization: Bearer <key>, or X-Api-Key: <key>"
      : "the API key is wrong",
  );
}

function checkHost(
  allowed: readonly string[],
  { headers: { host } }: FastifyRequest,
): void {
  if (host === undefined) return;
  const name = host.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  if (isIP(name) !== 0 || /(^|\.)localhost$/i.test(name)) return;
  if (allowed.includes(name.toLowerCase())) return;
  throw new ShoalError(
    "FORBIDDEN",
    `Host ${JSON.stringify(name.slice(0, 253))} is not allowed; use 127.0.0.1 or localhost, or set --allow-host or --api-key`,
  );
}
