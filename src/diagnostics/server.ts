/** The HTTP side of diagnostics. */
import type { AddressInfo } from "node:net";
import fastify from "fastify";
import { ShoalError } from "../lib/index.ts";

export const DIAGNOSTICS_DEFAULTS = Object.freeze({
  port: 51821,
  /** Nothing is to be sent to it. */
  bodyLimitBytes: 1024,
});

export interface DiagnosticsOptions {
  host: string;
  /** 0 takes any free port. */
  port: number;
  /** The role's state now: plain data, no secret, no prompt, no full path. */
  status: () => object;
}

export interface Diagnostics {
  /** Rejects with PORT_IN_USE. */
  start(): Promise<{ url: string }>;
  stop(): Promise<void>;
}

export function createDiagnostics(options: DiagnosticsOptions): Diagnostics {
  const { host, port, status } = options;
  const server = fastify({
    bodyLimit: DIAGNOSTICS_DEFAULTS.bodyLimitBytes,
    forceCloseConnections: true,
  });
  server.get("/health", () => ({ status: "ok" }));
  server.get("/api/v1/status", () => status());
  return {
    async start() {
      try {
        await server.listen({ host, port });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
        throw new ShoalError(
          "PORT_IN_USE",
          `port ${port} for the status is in use`,
          { host, port },
          error,
        );
      }
      const bound = server.server.address() as AddressInfo;
      const shown = host === "0.0.0.0" ? "127.0.0.1" : host;
      return { url: `http://${shown}:${bound.port}` };
    },
    stop: () => server.close(),
  };
}
