/** A second port for the same API, where Ollama's clients look for it. */
import type { FastifyInstance } from "fastify";
import { ShoalError } from "../lib/index.ts";
import type { Exchanges } from "./exchange.ts";
import { type GatewayAddress, listen } from "./listen.ts";
import type { GatewaySettings } from "./options.ts";
import type { Replies } from "./replies.ts";
import { buildServer } from "./server.ts";

const HOST = "127.0.0.1";

export class OllamaDoor {
  readonly app: FastifyInstance;
  #settings: GatewaySettings;
  address: GatewayAddress | undefined;

  constructor(
    settings: GatewaySettings,
    exchanges: Exchanges,
    replies: Replies,
  ) {
    this.#settings = settings;
    const here = { ...settings, host: HOST };
    this.app = buildServer(here, exchanges, replies, "ollama");
  }

  /** An Ollama that runs here keeps its port: the gateway goes on without. */
  async start(): Promise<void> {
    const { events, ollamaPort: port = 0 } = this.#settings;
    try {
      this.address = await listen(this.app, HOST, port);
    } catch (error) {
      const { code, message } = ShoalError.from(error);
      events.warn("API", "Ollama's clients find nothing at their usual port", {
        port,
        code,
        reason: message,
      });
      return;
    }
    const { url } = this.address;
    events.info("API", "listening for Ollama's clients", { url });
  }
}
