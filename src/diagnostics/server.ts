/** The HTTP side of diagnostics: routes, headers, listening. */
import type { AddressInfo } from "node:net";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { fastify, type FastifyInstance } from "fastify";
import { z } from "zod";
import {
  type NodeStatus,
  nodeStatusSchema,
  type SessionStatus,
} from "../status/index.ts";
import {
  type Clock,
  type Events,
  type EventTag,
  isShoalError,
  ShoalError,
  systemClock,
} from "../lib/index.ts";
import {
  PAGE_FOLDER,
  type PageFiles,
  readPage,
  SECURITY_HEADERS,
  sendNotBuilt,
  sendPage,
} from "../page/index.ts";
import { apiOrigin, isAllowedHost } from "./access.ts";
import { DIAGNOSTICS_DEFAULTS } from "./defaults.ts";
import { EventLog } from "./event-log.ts";
import { EventStreams } from "./event-stream.ts";
import { History, type Vitals, vitalsOf } from "./history.ts";
import { type Libp2pMetrics, Metrics } from "./metrics.ts";

export interface DiagnosticsOptions {
  host: string;
  /** 0 takes any free port; undefined the first free one from 51823. */
  port: number | undefined;
  /** Kept from now on, so that it has the events of the start. */
  events: Pick<Events, "subscribe">;
  clock?: Clock;
  /** The folder of the built page. */
  pageFolder?: string;
}

export interface Diagnostics {
  readonly libp2pMetrics: Libp2pMetrics;
  /** A request is over. */
  onSession(session: SessionStatus): void;
  /** Listens and serves `status`; the charts use `vitals`. Rejects with PORT_IN_USE or ADDRESS_INVALID. */
  start(
    status: () => NodeStatus,
    vitals?: () => Vitals,
  ): Promise<{ url: string; port: number }>;
  stop(): Promise<void>;
}

export function createDiagnostics(options: DiagnosticsOptions): Diagnostics {
  return new HttpDiagnostics(options);
}

/** Where the page was not built. */
const MEANWHILE =
  '<a href="/api/v1/status">status</a>, <a href="/metrics">metrics</a>, <code>shoal top</code>';
const JSON_TYPE = "application/json; charset=utf-8";
/** Not worth compressing below. */
const GZIP_FROM_BYTES = 4_096;

/** Events that change the status. */
const MOVES: ReadonlySet<EventTag> = new Set([
  "SWARM",
  "CLUSTER",
  "SHARD",
  "CONNECT",
]);

const compress = promisify(gzip);

class HttpDiagnostics implements Diagnostics {
  readonly #options: DiagnosticsOptions;
  readonly #clock: Clock;
  readonly #metrics = new Metrics();
  readonly #log: EventLog;
  readonly #streams: EventStreams;
  readonly #history = new History();
  readonly #unsubscribe: () => void;
  readonly #server: FastifyInstance;
  #page: PageFiles = new Map();
  #compute: (() => NodeStatus) | undefined;
  #cached: { atMs: number; status: NodeStatus } | undefined;
  #json: { of: NodeStatus; text: string; zipped?: Promise<Buffer> } | undefined;
  /** Something changed since the status was computed. */
  #moved = false;
  #cancelSample: (() => void) | undefined;

  constructor(options: DiagnosticsOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#log = new EventLog(this.#clock.now().toString(36));
    this.#streams = new EventStreams(this.#log);
    this.#unsubscribe = options.events.subscribe((event) => {
      this.#log.push(event);
      this.#metrics.onEvent(event);
      this.#moved ||= MOVES.has(event.tag);
    });
    this.#server = this.#routes();
  }

  get libp2pMetrics(): Libp2pMetrics {
    return this.#metrics.libp2p();
  }

  onSession(session: SessionStatus): void {
    this.#metrics.onSession(session);
  }

  async start(
    status: () => NodeStatus,
    vitals: () => Vitals = () => vitalsOf(this.#status()),
  ): Promise<{ url: string; port: number }> {
    this.#compute = status;
    this.#page = await readPage(this.#options.pageFolder ?? PAGE_FOLDER);
    this.#metrics.start(() => this.#status());
    await this.#listen();
    this.#streams.start();
    this.#sample(vitals);
    const { port } = this.#server.server.address() as AddressInfo;
    const { host } = this.#options;
    const shown = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
    const name = shown.includes(":") ? `[${shown}]` : shown;
    return { url: `http://${name}:${port}`, port };
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
    this.#cancelSample?.();
    this.#streams.stop();
    await this.#server.close();
    this.#metrics.stop();
  }

  /** Computed at most once a second, or five times while the cluster changes, however many clients ask. */
  #status(): NodeStatus {
    const now = this.#clock.now();
    const ageMs = now - (this.#cached?.atMs ?? -Infinity);
    const { statusAgeMs, movedStatusAgeMs } = DIAGNOSTICS_DEFAULTS;
    const mayBeMs = this.#moved ? movedStatusAgeMs : statusAgeMs;
    if (this.#cached !== undefined && ageMs >= 0 && ageMs < mayBeMs)
      return this.#cached.status;
    if (this.#compute === undefined)
      throw new ShoalError("INTERNAL", "asked before the start");
    this.#moved = false;
    const status = this.#compute();
    this.#cached = { atMs: now, status };
    return status;
  }

  #statusJson(): { text: string; zipped: () => Promise<Buffer> } {
    const status = this.#status();
    if (this.#json?.of !== status)
      this.#json = { of: status, text: JSON.stringify(status) };
    const json = this.#json;
    return {
      text: json.text,
      zipped: () => (json.zipped ??= compress(json.text, { level: 1 })),
    };
  }

  #sample(vitals: () => Vitals): void {
    this.#history.add(vitals());
    this.#cancelSample = this.#clock.after(
      DIAGNOSTICS_DEFAULTS.historyStepMs,
      () => this.#sample(vitals),
    );
  }

  async #listen(): Promise<void> {
    const { port } = this.#options;
    if (port !== undefined) {
      await this.#listenOn(port);
      return;
    }
    const { firstFreePort, portsTried } = DIAGNOSTICS_DEFAULTS;
    for (let tried = 0; tried < portsTried; tried++) {
      try {
        await this.#listenOn(firstFreePort + tried);
        return;
      } catch (error) {
        if (!isShoalError(error, "PORT_IN_USE")) throw error;
      }
    }
    await this.#listenOn(0);
  }

  async #listenOn(port: number): Promise<void> {
    const { host } = this.#options;
    try {
      // Fastify would open a second server for the other address of "localhost".
      await this.#server.listen({
        host: host === "localhost" ? "127.0.0.1" : host,
        port,
      });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EADDRINUSE") {
        throw new ShoalError(
          "PORT_IN_USE",
          `port ${port} for diagnostics is in use`,
          { host, port },
          error,
        );
      }
      throw new ShoalError(
        "ADDRESS_INVALID",
        `diagnostics cannot listen on ${host}, port ${port}: ${code ?? "?"}`,
        { host, port },
        error,
      );
    }
  }

  #routes(): FastifyInstance {
    const server = fastify({
      bodyLimit: DIAGNOSTICS_DEFAULTS.bodyLimitBytes,
      forceCloseConnections: true,
      http: { headersTimeout: DIAGNOSTICS_DEFAULTS.headersTimeoutMs },
    });
    server.server.maxConnections = DIAGNOSTICS_DEFAULTS.maxConnections;
    server.setErrorHandler((thrown, _, reply) => {
      const { statusCode } = thrown as { statusCode?: number };
      const error = isShoalError(thrown)
        ? thrown
        : statusCode !== undefined && statusCode < 500
          ? new ShoalError("REQUEST_INVALID", "the request is not valid")
          : new ShoalError("INTERNAL", "diagnostics failed");
      void reply
        .code(statusCode ?? error.httpStatus)
        .send({ error: { code: error.code, message: error.message } });
    });
    server.setNotFoundHandler(async (_, reply) =>
      reply.code(404).send({
        error: { code: "NOT_FOUND", message: "there is no such page" },
      }),
    );
    server.addHook("onRequest", async (request, reply) => {
      reply.headers(SECURITY_HEADERS).header("cache-control", "no-store");
      if (isAllowedHost(this.#options.host, request.headers.host)) return;
      throw new ShoalError(
        "FORBIDDEN",
        "this process answers only its own machine: use its address or localhost",
      );
    });
    server.get("/health", () => ({ status: "ok" }));
    server.get("/ready", async (_, reply) => {
      const { ready, reason } = this.#status();
      return reply.code(ready ? 200 : 503).send({ ready, reason });
    });
    server.get("/api/v1/status", async (request, reply) => {
      const { text, zipped } = this.#statusJson();
      reply.type(JSON_TYPE).header("vary", "accept-encoding");
      const accepts = request.headers["accept-encoding"] ?? "";
      if (text.length < GZIP_FROM_BYTES || !/\bgzip\b/.test(accepts))
        return reply.send(text);
      return reply.header("content-encoding", "gzip").send(await zipped());
    });
    server.get("/api/v1/schema", async (_, reply) =>
      reply.type("application/schema+json").send(STATUS_SCHEMA),
    );
    server.get("/api/v1/history", ({ query }) => {
      const after = Number((query as { after?: unknown }).after);
      return this.#history.columns(Number.isFinite(after) ? after : undefined);
    });
    server.get("/api/v1/events", (request, reply) => {
      if (this.#streams.isFull)
        throw new ShoalError("BUSY", "too many readers of events");
      const { "last-event-id": header } = request.headers;
      const { after } = request.query as { after?: unknown };
      const lastId =
        typeof header === "string" && header !== ""
          ? header
          : typeof after === "string"
            ? after
            : undefined;
      reply.hijack();
      this.#streams.open(request.raw, reply.raw, lastId, SECURITY_HEADERS);
    });
    server.get("/metrics", async (_, reply) =>
      reply.type(this.#metrics.contentType).send(await this.#metrics.text()),
    );
    server.get("/*", async (request, reply) => {
      const path = request.url.split("?", 1)[0] ?? "/";
      const file = this.#page.get(path === "/" ? "/index.html" : path);
      if (file === undefined)
        return path === "/" && this.#page.size === 0
          ? sendNotBuilt(reply, MEANWHILE)
          : reply.callNotFound();
      const api = apiOrigin(this.#status().api, request.headers.host);
      return sendPage(request, reply, file, api);
    });
    return server;
  }
}

/** What /api/v1/status answers, as JSON Schema. */
export const STATUS_SCHEMA: string = JSON.stringify(
  z.toJSONSchema(nodeStatusSchema),
);
