/**
 * The direct ways between this node's engines and their neighbours' engines: the nodes agree on keys over their authenticated connection, then
 * one engine dials the other. While there is no direct way, or none any more, frames go through the nodes, and it is tried again.
 */
import { randomBytes } from "node:crypto";
import { z } from "zod";
import type { EngineEvent, StageEngine } from "../engine/index.ts";
import {
  backoffMs,
  type EventSink,
  isShoalError,
  ShoalError,
  sleep,
  withDeadline,
} from "../lib/index.ts";
import { type Commands, type Host, ipOf } from "../network/index.ts";
import { hasDataSockets, ringKeys, type RingKeys } from "../ring/index.ts";
import { layersOf, type RouteStage } from "./route.ts";

/** Where engines listen for their neighbours. */
export interface DataPlace {
  /** IP to listen on. */
  host: string;
  /** 0: any. */
  port: number;
}

const Range = z.object({
  layerStart: z.number().int().min(0).max(65_535),
  layerEnd: z.number().int().min(1).max(65_536),
});
type Range = z.infer<typeof Range>;

/** Base64 of so many bytes. */
const bytesOfLength = (length: number): z.ZodBase64 =>
  z.base64().length(Math.ceil(length / 3) * 4);

const ConnectParams = z.object({
  manifest: z.string().max(128),
  /** The asking engine's layers, and those of the engine that it wants to reach. */
  from: Range,
  to: Range,
  connection: bytesOfLength(16),
  secret: bytesOfLength(32),
});

const ConnectReply = z.object({
  port: z.number().int().min(1).max(65_535),
  secret: bytesOfLength(32),
});

const DATA_LINK_DEFAULTS = Object.freeze({
  /** A session begins on the other way if there is no direct one by then. */
  waitMs: 1_000,
  /** To ask the neighbour's node, and to connect. */
  timeoutMs: 3_000,
  /** Links of one peer: as many as it has engines that are neighbours of one of ours. */
  maxLinksPerPeer: 8,
});

/** An engine and what it computes. */
type HeldStage = Range & { engine: StageEngine; manifest: string };

type LinkEvent = Extract<EngineEvent, { type: "link" }>;

interface DataLink {
  readonly id: number;
  readonly engine: StageEngine;
  readonly manifest: string;
  readonly own: Range;
  readonly peer: string;
  readonly range: Range;
  addresses: readonly string[];
  direct: boolean;
  /** Sessions that send over it: only for them it is kept up. */
  users: number;
  attempt: Promise<void> | undefined;
  /** The first attempt is over. */
  tried: boolean;
  readonly waiting: Set<(event: LinkEvent) => void>;
  closed: boolean;
}

export interface DataLinksOptions {
  host: Host;
  commands: Commands;
  events: EventSink;
  /** Undefined: every frame goes through the nodes. */
  place: DataPlace | undefined;
  engineOf: (manifest: string, range: Range) => StageEngine | undefined;
}

export class DataLinks {
  readonly #options: DataLinksOptions;
  readonly #links = new Map<StageEngine, Map<string, DataLink>>();
  readonly #stopping = new AbortController();
  #lastId = 0;

  constructor(options: DataLinksOptions) {
    this.#options = options;
  }

  /** Answers RING_CONNECT from now on; before the host starts. */
  register(): void {
    this.#options.commands.handle(
      "RING_CONNECT",
      ConnectParams,
      (params, { peer }) => this.#onConnect(params, peer),
    );
  }

  /** The link of an engine to a neighbour's. */
  link(
    { engine, manifest, ...own }: HeldStage,
    { peer, addresses, layerStart, layerEnd }: RouteStage,
  ): DataLink {
    const links = this.#linksOf(engine);
    const key = `${peer}/${layerStart}-${layerEnd}`;
    let link = links.get(key);
    if (link === undefined) {
      const { layerStart: start, layerEnd: end } = own;
      link = {
        id: ++this.#lastId,
        engine,
        manifest,
        own: { layerStart: start, layerEnd: end },
        peer,
        range: { layerStart, layerEnd },
        addresses,
        direct: false,
        users: 0,
        attempt: undefined,
        tried: false,
        waiting: new Set(),
        closed: false,
      };
      links.set(key, link);
    }
    if (addresses.length > 0) link.addresses = addresses;
    return link;
  }

  /**
   * Until the link is direct, or it is clear that it will not be for now; not longer than a second. Where the neighbour dials (`isDialled`), it
   * only waits.
   */
  async ready(link: DataLink, isDialled: boolean): Promise<void> {
    if (this.#options.place === undefined || !hasDataSockets) return;
    if (!link.direct && !isDialled) link.attempt ??= this.#keepUp(link);
    if (link.direct || link.tried) return;
    const { waitMs } = DATA_LINK_DEFAULTS;
    await withDeadline(waitMs, "a direct way", () => outcomeOf(link)).catch(
      () => {}, // the session begins on the other way
    );
    link.tried = true;
  }

  /** A session sends over the link: so it is kept up. */
  use(held: HeldStage, next: RouteStage): void {
    this.link(held, next).users++;
  }

  leave(held: HeldStage, next: RouteStage): void {
    const link = this.link(held, next);
    link.users = Math.max(0, link.users - 1);
  }

  onEvent(engine: StageEngine, event: LinkEvent): void {
    for (const link of this.#links.get(engine)?.values() ?? []) {
      if (link.id !== event.link) continue;
      this.#onChange(link, event);
      return;
    }
  }

  /** The node's own connections with a peer broke: those of the engines went the same way. */
  lost(peer: string): void {
    for (const links of this.#links.values())
      for (const link of links.values())
        if (link.peer === peer && link.direct)
          link.engine.cutLink(link.id).catch(() => {}); // an engine that is gone has none
  }

  /** The engine is gone, and its connections with it. */
  forget(engine: StageEngine): void {
    for (const link of this.#links.get(engine)?.values() ?? [])
      link.closed = true;
    this.#links.delete(engine);
  }

  stop(): void {
    this.#stopping.abort();
  }

  #linksOf(engine: StageEngine): Map<string, DataLink> {
    let links = this.#links.get(engine);
    if (links === undefined) {
      links = new Map();
      this.#links.set(engine, links);
    }
    return links;
  }

  #onChange(link: DataLink, event: LinkEvent): void {
    const was = link.direct;
    link.direct = event.direct;
    tell(link, event);
    if (was === event.direct) return;
    const { events } = this.#options;
    const where = { peer: link.peer, layers: layersOf(link.range) };
    if (event.direct)
      events.info("RING", "direct to a neighbour's engine", where);
    else {
      const { message } = ShoalError.fromObject(event.error ?? {});
      events.warn("RING", `through the nodes: ${message}`, where);
      if (link.users > 0) link.attempt ??= this.#keepUp(link);
    }
  }

  /** Tries until the link is direct or nobody uses it any more. */
  async #keepUp(link: DataLink): Promise<void> {
    const { signal } = this.#stopping;
    const { events } = this.#options;
    for (let attempt = 0; !signal.aborted && !link.closed; attempt++) {
      try {
        await this.#connect(link);
      } catch (error) {
        const { message, code } = ShoalError.from(error);
        const where = { code, peer: link.peer, layers: layersOf(link.range) };
        if (attempt === 0)
          events.info("RING", `through the nodes: ${message}`, where);
        tell(link, { type: "link", link: link.id, direct: false });
        if (isShoalError(error, "COMMAND_UNKNOWN")) break;
      }
      link.tried = true;
      if (link.direct) break;
      const waitMs = backoffMs(attempt, { initialMs: 1_000, maxMs: 60_000 });
      await sleep(waitMs, signal).catch(() => {});
      if (link.direct || link.users === 0) break;
    }
    link.attempt = undefined;
  }

  async #connect(link: DataLink): Promise<void> {
    const { host, commands } = this.#options;
    const { timeoutMs } = DATA_LINK_DEFAULTS;
    const connection = randomBytes(16);
    const secret = randomBytes(32);
    const params = {
      manifest: link.manifest,
      from: link.own,
      to: link.range,
      connection: connection.toString("base64"),
      secret: secret.toString("base64"),
    };
    const isOwn = link.peer === host.peerId;
    const reply = isOwn
      ? await this.#onConnect(params, host.peerId)
      : await commands.call(
          { peerId: link.peer, addresses: [...link.addresses] },
          "RING_CONNECT",
          params,
          ConnectReply,
          { timeoutMs },
        );
    const to = isOwn ? this.#options.place?.host : this.#addressOf(link.peer);
    if (to === undefined)
      throw new ShoalError(
        "RING_UNREACHABLE",
        "the neighbour has no address of its own here",
      );
    const keys = ringKeys({
      connection,
      dialer: { peer: host.peerId, secret },
      listener: {
        peer: link.peer,
        secret: Buffer.from(reply.secret, "base64"),
      },
      isDialer: true,
    });
    const outcome = outcomeOf(link);
    await link.engine.dialConnection({
      link: link.id,
      connection: params.connection,
      keys: textOf(keys),
      host: isAny(to) ? "127.0.0.1" : to,
      port: reply.port,
      timeoutMs,
    });
    const { direct, error } = await withDeadline(
      2 * timeoutMs,
      "a data connection",
      () => outcome,
    );
    if (!direct) throw ShoalError.fromObject(error ?? {});
  }

  async #onConnect(
    params: z.infer<typeof ConnectParams>,
    peer: string,
  ): Promise<z.infer<typeof ConnectReply>> {
    const { host, place, engineOf } = this.#options;
    const engine = engineOf(params.manifest, params.to);
    if (place === undefined || !hasDataSockets)
      throw new ShoalError(
        "RING_UNREACHABLE",
        "this node takes no data connections",
      );
    if (engine === undefined)
      throw new ShoalError(
        "STAGE_LOST",
        `${layersOf(params.to)} of model ${params.manifest} are not held here`,
      );
    this.#bound(engine, peer);
    const link = this.link(
      { engine, manifest: params.manifest, ...params.to },
      { peer, addresses: [], ...params.from },
    );
    const secret = randomBytes(32);
    const keys = ringKeys({
      connection: Buffer.from(params.connection, "base64"),
      dialer: { peer, secret: Buffer.from(params.secret, "base64") },
      listener: { peer: host.peerId, secret },
      isDialer: false,
    });
    const port = await engine.expectConnection({
      link: link.id,
      connection: params.connection,
      keys: textOf(keys),
      ...place,
    });
    return { port, secret: secret.toString("base64") };
  }

  /** Whoever makes up layers gets no more links than a real neighbour needs. */
  #bound(engine: StageEngine, peer: string): void {
    const links = this.#linksOf(engine);
    const own = [...links].filter(([, link]) => link.peer === peer);
    if (own.length < DATA_LINK_DEFAULTS.maxLinksPerPeer) return;
    const unused = own.find(([, link]) => link.users === 0 && !link.direct);
    if (unused === undefined)
      throw new ShoalError("BUSY", "too many data connections of this peer");
    links.delete(unused[0]);
  }

  /** The IP at which the peer is connected with us. */
  #addressOf(peer: string): string | undefined {
    const { host } = this.#options;
    for (const connection of host.connections())
      if (connection.peer === peer && connection.transport !== "relayed") {
        const ip = ipOf(connection.address);
        if (ip !== undefined) return ip;
      }
    return undefined;
  }
}

function tell(link: DataLink, event: LinkEvent): void {
  for (const listener of link.waiting) listener(event);
  link.waiting.clear();
}

function outcomeOf(link: DataLink): Promise<LinkEvent> {
  return new Promise((resolve) => link.waiting.add(resolve));
}

function textOf(keys: RingKeys): Record<keyof RingKeys, string> {
  return {
    sendKey: base64(keys.sendKey),
    sendSalt: base64(keys.sendSalt),
    receiveKey: base64(keys.receiveKey),
    receiveSalt: base64(keys.receiveSalt),
  };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

function isAny(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}
