/** The gateway's life cycle: listen, answer, and stop without cutting off running answers. */
import type { AddressInfo } from "node:net";
import type { FastifyInstance } from "fastify";
import { isLoopback, ShoalError, sleep, type ErrorCode } from "../lib/index.ts";
import { Exchanges } from "./exchange.ts";
import {
  gatewaySettings,
  type GatewayOptions,
  type GatewaySettings,
} from "./options.ts";
import { buildServer } from "./server.ts";

/** After an abort, answers need at most this long to report it and end. */
const FAREWELL_MS = 500;

export interface GatewayAddress {
  host: string;
  port: number;
  /** `http://host:port`. */
  url: string;
}

export interface Gateway extends AsyncDisposable {
  /** Resolves once it listens. Throws PORT_IN_USE or ADDRESS_INVALID. */
  start(): Promise<GatewayAddress>;
  /** Refuses new requests; resolves once the running ones have ended, each at its own deadline at the latest. */
  drain(): Promise<void>;
  /** Accepts no more requests, lets running ones continue for `drainMs`, or no longer after `drain`, then aborts them. Resolves once every socket is closed. */
  stop(): Promise<void>;
  /** The address it listens on; undefined while it does not. */
  readonly address: GatewayAddress | undefined;
}

/** Throws USAGE if an option is wrong. */
export function createGateway(options: GatewayOptions): Gateway {
  return new HttpGateway(gatewaySettings(options));
}

class HttpGateway implements Gateway {
  #settings: GatewaySettings;
  #exchanges: Exchanges;
  #app: FastifyInstance;
  #address: GatewayAddress | undefined;
  #stopped: Promise<void> | undefined;
  /** Its running requests did, before `stop`. */
  #hadTime = false;

  constructor(settings: GatewaySettings) {
    this.#settings = settings;
    this.#exchanges = new Exchanges(settings);
    this.#app = buildServer(settings, this.#exchanges);
  }

  get address(): GatewayAddress | undefined {
    return this.#address;
  }

  async start(): Promise<GatewayAddress> {
    const { host, port, apiKey, events } = this.#settings;
    try {
      // Fastify would open a second server for the other address of "localhost".
      const address = host === "localhost" ? "127.0.0.1" : host;
      await this.#app.listen({ host: address, port });
    } catch (error) {
      throw listenError(error, host, port);
    }
    const bound = this.#app.server.address() as AddressInfo;
    const shown =
      bound.family === "IPv6" ? `[${bound.address}]` : bound.address;
    const url = `http://${shown}:${bound.port}`;
    this.#address = { host: bound.address, port: bound.port, url };
    events.info("API", "listening", { url });
    if (apiKey === undefined && !isLoopback(host)) {
      events.warn(
        "API",
        "anyone who reaches this address can use the API: no API key is set",
        {
          url,
        },
      );
    }
    return this.#address;
  }

  async drain(): Promise<void> {
    this.#hadTime = true;
    this.#exchanges.stop();
    await this.#exchanges.drained();
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    const { drainMs, events } = this.#settings;
    const { server } = this.#app;
    const wasListening = this.#address !== undefined;
    this.#exchanges.stop();
    const closed = this.#app.close();
    const moreMs = this.#hadTime ? 0 : drainMs;
    if (!(await within(moreMs, this.#exchanges.drained()))) {
      const reason = new ShoalError("SHUTTING_DOWN", "the gateway is stopping");
      this.#exchanges.abortAll(reason);
      await within(FAREWELL_MS, this.#exchanges.drained());
    }
    server.closeIdleConnections();
    if (!(await within(FAREWELL_MS, closed))) server.closeAllConnections();
    await closed;
    this.#address = undefined;
    if (wasListening) events.info("API", "stopped");
  }
}

/** Whether `promise` settles within `ms`. */
async function within(ms: number, promise: Promise<unknown>): Promise<boolean> {
  const timer = new AbortController();
  const late = sleep(ms, timer.signal).then(
    () => false,
    () => false,
  );
  const settled = await Promise.race([promise.then(() => true), late]);
  timer.abort();
  return settled;
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
