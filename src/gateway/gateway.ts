/** The gateway's life cycle: listen, answer, and stop without cutting off running answers. */
import type { FastifyInstance } from "fastify";
import { isLoopback, ShoalError, sleep } from "../lib/index.ts";
import { Exchanges } from "./exchange.ts";
import {
  gatewaySettings,
  type GatewayOptions,
  type GatewaySettings,
} from "./options.ts";
import { type GatewayAddress, listen } from "./listen.ts";
import { OllamaDoor } from "./ollama-door.ts";
import { Replies } from "./replies.ts";
import { buildServer } from "./server.ts";

/** After an abort, answers need at most this long to report it and end. */
const FAREWELL_MS = 500;

export interface Gateway extends AsyncDisposable {
  /** Resolves once it listens. Throws PORT_IN_USE or ADDRESS_INVALID. */
  start(): Promise<GatewayAddress>;
  /** Refuses new requests; resolves once the running ones have ended, each at its own deadline at the latest. */
  drain(): Promise<void>;
  /** Accepts no more requests, lets running ones continue for `drainMs`, or no longer after `drain`, then aborts them. Resolves once every socket is closed. */
  stop(): Promise<void>;
  /** The address it listens on; undefined while it does not. */
  readonly address: GatewayAddress | undefined;
  /** The one for Ollama's clients, if it could be had. */
  readonly ollamaAddress: GatewayAddress | undefined;
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
  #ollama: OllamaDoor | undefined;
  #stopped: Promise<void> | undefined;
  /** Its running requests did, before `stop`. */
  #hadTime = false;

  constructor(settings: GatewaySettings) {
    this.#settings = settings;
    this.#exchanges = new Exchanges(settings);
    const replies = new Replies(settings);
    this.#app = buildServer(settings, this.#exchanges, replies);
    if (settings.ollamaPort !== undefined)
      this.#ollama = new OllamaDoor(settings, this.#exchanges, replies);
  }

  get address(): GatewayAddress | undefined {
    return this.#address;
  }

  get ollamaAddress(): GatewayAddress | undefined {
    return this.#ollama?.address;
  }

  async start(): Promise<GatewayAddress> {
    const { host, port, apiKey, keys, events } = this.#settings;
    this.#address = await listen(this.#app, host, port);
    const { url } = this.#address;
    events.info("API", "listening", { url });
    if (!apiKey && !keys && !isLoopback(host)) {
      events.warn(
        "API",
        "anyone who reaches this address can use the API: no API key is set",
        {
          url,
        },
      );
    }
    await this.#ollama?.start();
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
    const apps = [this.#app, ...(this.#ollama ? [this.#ollama.app] : [])];
    const wasListening = this.#address !== undefined;
    this.#exchanges.stop();
    const closed = Promise.all(apps.map((app) => app.close()));
    const moreMs = this.#hadTime ? 0 : drainMs;
    if (!(await within(moreMs, this.#exchanges.drained()))) {
      const reason = new ShoalError("SHUTTING_DOWN", "the gateway is stopping");
      this.#exchanges.abortAll(reason);
      await within(FAREWELL_MS, this.#exchanges.drained());
    }
    for (const { server } of apps) server.closeIdleConnections();
    if (!(await within(FAREWELL_MS, closed)))
      for (const { server } of apps) server.closeAllConnections();
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
