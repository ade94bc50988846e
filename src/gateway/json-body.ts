/** A request's body as JSON. Every key is only data, even `__proto__`; a seed keeps all digits of a 64-bit number. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { ShoalError } from "../lib/index.ts";

/** What `curl -d` and others say of their JSON, or nothing. */
const ANY_NAME = /^(text\/plain|application\/x-www-form-urlencoded)\b|^$/i;

/**
 * JSON by that name for anyone. By another name, which a web page may send to this machine without asking (no preflight), only for programs
 * and for pages that may use the API: browsers say where a page is from.
 */
export function jsonBodies(
  app: FastifyInstance,
  isForeignPage: (request: FastifyRequest) => boolean,
): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    /^application\/([\w.-]+\+)?json\b/i,
    { parseAs: "string" },
    async (_: unknown, body: string | Buffer) => parseJson(String(body)),
  );
  app.addContentTypeParser(
    "*",
    { parseAs: "string" },
    async (request: FastifyRequest, body: string | Buffer) => {
      const type = request.headers["content-type"] ?? "";
      if (!ANY_NAME.test(type) || isForeignPage(request))
        throw new ShoalError(
          "REQUEST_MEDIA_TYPE",
          "the request's content-type must be application/json",
        );
      return parseJson(String(body));
    },
  );
}

/** Throws REQUEST_INVALID, which never quotes the text. */
export function parseJson(text: string): unknown {
  if (text === "") {
    throw new ShoalError("REQUEST_INVALID", "the request has no body");
  }
  let body: unknown;
  try {
    body = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch {
    // The parser's error does not become the cause: its message quotes the body.
    throw new ShoalError(
      "REQUEST_INVALID",
      "the request's body is not valid JSON",
    );
  }
  keepSeed(text, body);
  return body;
}

/**
 * Clients draw seeds of 63 bits, and JSON.parse rounds them to 53: the digits are read again from the text. Inside a JSON string a quote
 * has a backslash before it, so `"seed"` with a colon after it is a key. (A reviver would see the digits too, but takes a second for a
 * large body.)
 */
function keepSeed(text: string, body: unknown): void {
  if (typeof body !== "object" || body === null || !("seed" in body)) return;
  const { seed } = body;
  if (!Number.isInteger(seed) || Number.isSafeInteger(seed)) return;
  for (const [, digits = ""] of text.matchAll(SEED)) {
    if (Number(digits) === seed) body.seed = BigInt(digits);
  }
}
const SEED = /"seed"\s*:\s*(-?\d{16,20})(?![\d.eE])/g;
