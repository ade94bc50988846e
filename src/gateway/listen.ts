/** Taking a port, and what is said when it cannot be had. */
import type { AddressInfo } from "node:net";
import type { FastifyInstance } from "fastify";
import { ShoalError, type ErrorCode } from "../lib/index.ts";

export interface GatewayAddress {
  host: string;
  port: number;
  /** `http://host:port`. */
  url: string;
}

/** Throws PORT_IN_USE or ADDRESS_INVALID. */
export async function listen(
  app: FastifyInstance,
  host: string,
  port: number,
): Promise<GatewayAddress> {
  try {
    // Fastify would open a second server for the other address of "localhost".
    const address = host === "localhost" ? "127.0.0.1" : host;
    await app.listen({ host: address, port });
  } catch (error) {
    throw listenError(error, host, port);
  }
  const bound = app.server.address() as AddressInfo;
  const shown = bound.family === "IPv6" ? `[${bound.address}]` : bound.address;
  const url = `http://${shown}:${bound.port}`;
  return { host: bound.address, port: bound.port, url };
}

function listenError(error: unknown, host: string, port: number): ShoalError {
  const systemCode = (error as { code?: unknown }).code;
  const known = LISTEN_ERRORS.find(({ codes }) => codes.includes(systemCode));
  if (known === undefined) return ShoalError.from(error);
  const message = known.message(host, port);
  return new ShoalError(known.code, message, { host, port }, error);
}

const LISTEN_ERRORS: readonly {
  codes: readonly unknown[];
  code: ErrorCode;
  message: (host: string, port: number) => string;
}[] = [
  {
    codes: ["EADDRINUSE"],
    code: "PORT_IN_USE",
    message: (host, port) =>
      `port ${port} on ${host} is in use by another program`,
  },
  {
    codes: ["EACCES"],
    code: "ADDRESS_INVALID",
    message: (host, port) =>
      `this user may not listen on port ${port} of ${host}`,
  },
  {
    codes: ["EADDRNOTAVAIL", "ENOTFOUND", "EAI_AGAIN"],
    code: "ADDRESS_INVALID",
    message: (host) => `${host} is not an address of this machine`,
  },
];
