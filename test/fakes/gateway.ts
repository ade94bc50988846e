/** What the gateway's tests share: a gateway around a BackendDouble, in process or on a loopback port, and its events. */
import type { FastifyInstance, LightMyRequestResponse } from "fastify";
import { Events, type ShoalEvent } from "../../src/lib/index.ts";
import { BackendDouble } from "./backend.ts";
import { Exchanges } from "../../src/gateway/exchange.ts";
import type { Gateway } from "../../src/gateway/gateway.ts";
import { createGateway } from "../../src/gateway/index.ts";
import {
  gatewaySettings,
  type GatewayOptions,
} from "../../src/gateway/options.ts";
import { buildServer } from "../../src/gateway/server.ts";

type Overrides = Partial<GatewayOptions>;

/** Events, kept, and awaited by what they say. */
export class Story {
  readonly events = new Events();
  readonly told: ShoalEvent[] = [];
  #waiters: (() => void)[] = [];

  constructor() {
    this.events.subscribe((event) => {
      this.told.push(event);
      for (const resolve of this.#waiters.splice(0)) resolve();
    });
  }

  async tells(message: string): Promise<ShoalEvent> {
    for (;;) {
      const event = this.told.find((event) => event.message === message);
      if (event !== undefined) return event;
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }
}

/** A gateway that is asked without a socket. */
export function inProcess(overrides: Overrides = {}): {
  backend: BackendDouble;
  story: Story;
  app: FastifyInstance;
  post: (path: string, body: unknown) => Promise<LightMyRequestResponse>;
} {
  const backend = new BackendDouble();
  const story = new Story();
  const settings = gatewaySettings({
    backend,
    events: story.events,
    ...overrides,
  });
  const app = buildServer(settings, new Exchanges(settings));
  return {
    backend,
    story,
    app,
    post: (path, body) =>
      app.inject({
        method: "POST",
        url: path,
        headers: { "content-type": "application/json" },
        payload: typeof body === "string" ? body : JSON.stringify(body),
      }),
  };
}

/** A gateway that listens on a free port of loopback. `await using` stops it. */
export async function onLoopback(overrides: Overrides = {}): Promise<
  AsyncDisposable & {
    backend: BackendDouble;
    story: Story;
    gateway: Gateway;
    port: number;
    url: string;
  }
> {
  const backend = new BackendDouble();
  const story = new Story();
  const gateway = createGateway({
    backend,
    events: story.events,
    port: 0,
    drainMs: 50,
    ...overrides,
  });
  const { url, port } = await gateway.start();
  return {
    backend,
    story,
    gateway,
    port,
    url,
    [Symbol.asyncDispose]: () => gateway.stop(),
  };
}

export const CHAT = Object.freeze({
  model: "shoal-demo",
  messages: [{ role: "user", content: "Hi" }],
});

/** The JSON of each event, "[DONE]" as it is. */
export function eventsOf(body: string): unknown[] {
  return body
    .split("\n\n")
    .filter((event) => event !== "")
    .map((event) => {
      const data = event.replace(/^data: /, "");
      return data === "[DONE]" ? data : (JSON.parse(data) as unknown);
    });
}
