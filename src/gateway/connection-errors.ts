/** Errors that Node would answer by itself, with an empty body or none; here they get OpenAI's form too. */
import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { ConnectionError, FastifyInstance } from "fastify";
import { ShoalError } from "../lib/index.ts";
import { openaiErrors } from "./openai/errors.ts";

/** Leaves a request without a Host, or with an Expect, to `checkHead`. */
export function answerBareRequests(app: FastifyInstance): void {
  const { server } = app;
  // Of HTTP/1.1 only: a server need not know an Expect of HTTP/1.0.
  server.on("checkExpectation", (request, response) =>
    server.emit("request", request, response),
  );
  server.on("connect", (_request, stream) => {
    const error = new ShoalError(
      "NOT_FOUND",
      "CONNECT is not supported by this gateway",
    );
    stream.on("error", () => {});
    stream.end(rawResponse(error), () => stream.destroy());
  });
  app.addHook("onRequest", async ({ raw: { httpVersion, headers } }) => {
    if (httpVersion !== "1.1") return;
    if (headers.host === undefined) {
      throw new ShoalError(
        "REQUEST_INVALID",
        "the request has no Host header, which HTTP/1.1 requires",
      );
    }
    if (!/^(100-continue)?$/i.test(headers.expect ?? "")) {
      throw new ShoalError(
        "REQUEST_EXPECTATION",
        "the only Expect header supported is 100-continue",
      );
    }
  });
}

/** Bytes that are not HTTP, endless headers, requests that never finish. */
export function refuseConnection(error: ConnectionError, socket: Socket): void {
  if (error.code !== "ECONNRESET" && socket.writable) {
    socket.write(rawResponse(connectionError(error.code)));
  }
  socket.destroy();
}

function connectionError(code: string): ShoalError {
  switch (code) {
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return new ShoalError("REQUEST_TIMEOUT", "the request took too long");
    case "HPE_HEADER_OVERFLOW":
      return new ShoalError("REQUEST_HEADERS", "the headers are too large");
    case "HPE_CHUNK_EXTENSIONS_OVERFLOW":
      return new ShoalError(
        "REQUEST_TOO_LARGE",
        "the extensions of a chunk are too large",
      );
    default:
      return new ShoalError("REQUEST_INVALID", "the request is not valid HTTP");
  }
}

/** A whole response to something that never became a request, written directly to the socket. */
function rawResponse(error: ShoalError): string {
  const { status, body } = openaiErrors(error, "");
  const text = JSON.stringify(body);
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`,
    "Content-Type: application/json; charset=utf-8",
    `Content-Length: ${Buffer.byteLength(text)}`,
    "Connection: close",
    "",
    text,
  ].join("\r\n");
}
