/**
 * This engine's links to its neighbours' engines. A link is direct while it has a data connection; else its frames go through the nodes. It
 * may have two connections where both sides dialled: the older one carries the frames, the other is its spare.
 */
import { ShoalError } from "../lib/index.ts";
import {
  bufferOf,
  DataConnection,
  DataListener,
  type Poller,
  type RingKeys,
} from "../ring/index.ts";

/** The keys as JSON: base64. */
export type KeysText = Record<keyof RingKeys, string>;

export interface ExpectRequest {
  link: number;
  /** base64 of 16 bytes. */
  connection: string;
  keys: KeysText;
  /** Where to listen; the first request decides. */
  host: string;
  port: number;
}

export interface DialRequest extends ExpectRequest {
  timeoutMs: number;
}

/** The link to other stages of this process. */
export const OWN_LINK = 0;

export class RingLink {
  readonly id: number;
  /** In the order in which they opened. */
  readonly connections: DataConnection[] = [];
  /** Takes the frames of OWN_LINK. */
  readonly #within: ((frame: Buffer) => void) | undefined;

  constructor(id: number, within?: (frame: Buffer) => void) {
    this.id = id;
    this.#within = within;
  }

  get isDirect(): boolean {
    return this.connections.length > 0 || this.#within !== undefined;
  }

  /** False if there is no direct way. */
  send(frame: Buffer): boolean {
    if (this.#within !== undefined) {
      this.#within(frame);
      return true;
    }
    const [connection] = this.connections;
    if (connection === undefined) return false;
    this.#parts[0] = frame;
    connection.send(this.#parts);
    // It may have failed in this moment: then the link has told so already, and what it kept was sent again.
    return true;
  }

  readonly #parts: Uint8Array[] = [];
  #held: DataConnection | undefined;

  /** Until `release`, frames wait: those of one decode arrive together, so that the next stage can share a decode as well. */
  hold(): void {
    [this.#held] = this.connections;
    this.#held?.hold();
  }

  /** May be called more often than `hold`. */
  release(): void {
    this.#held?.release();
    this.#held = undefined;
  }
}

export interface RingLinksOptions {
  poller: Poller;
  onFrame: (frame: Buffer, link: RingLink) => void;
  /** The way has changed: what may be lost is to be sent again. */
  onChange: (link: RingLink, error: ShoalError | undefined) => void;
  /** A dial has failed. */
  onFailure: (link: RingLink, error: ShoalError) => void;
}

/** Expected connections are waited for as long as a dial may take, and a little longer. */
const EXPECTED_MS = 10_000;
/** More than neighbours that open sessions at the same moment. */
const MAX_EXPECTED = 256;

export class RingLinks {
  readonly #options: RingLinksOptions;
  readonly #links = new Map<number, RingLink>();
  readonly #expected = new Map<
    string,
    { link: RingLink; keys: RingKeys; untilMs: number }
  >();
  readonly #dialling = new Set<DataConnection>();
  #listener: DataListener | undefined;

  constructor(options: RingLinksOptions) {
    this.#options = options;
    const own: RingLink = new RingLink(OWN_LINK, (frame) =>
      options.onFrame(frame, own),
    );
    this.#links.set(OWN_LINK, own);
  }

  link(id: number): RingLink {
    let link = this.#links.get(id);
    if (link === undefined) {
      link = new RingLink(id);
      this.#links.set(id, link);
    }
    return link;
  }

  /** Returns the port that the connection has to come to. */
  expect(request: ExpectRequest): number {
    const listener = this.#listen(request.host, request.port);
    if (this.#expected.size >= MAX_EXPECTED)
      throw new ShoalError("BUSY", "too many data connections are expected");
    this.#expected.set(request.connection, {
      link: this.link(request.link),
      keys: keysOf(request.keys),
      untilMs: performance.now() + EXPECTED_MS,
    });
    return listener.port;
  }

  dial(request: DialRequest): void {
    const { host, port, timeoutMs } = request;
    const link = this.link(request.link);
    const connection = DataConnection.dial({
      host,
      port,
      id: Buffer.from(request.connection, "base64"),
      keys: keysOf(request.keys),
      poller: this.#options.poller,
      timeoutMs,
    });
    this.#dialling.add(connection);
    connection.onOpen = () => {
      this.#dialling.delete(connection);
      this.#adopt(link, connection);
    };
    connection.onClosed = (error) => {
      this.#dialling.delete(connection);
      this.#options.onFailure(link, error);
    };
  }

  /** The node knows that the neighbour's machine is not there any more: the kernel notices seconds later. */
  cut(id: number): void {
    const link = this.#links.get(id);
    const dead = link?.connections.splice(0) ?? [];
    for (const connection of dead) connection.close();
    if (link === undefined || dead.length === 0) return;
    const why = "the neighbour's connections were lost";
    this.#options.onChange(link, new ShoalError("RING_CLOSED", why));
  }

  /** For deadlines: called now and then. */
  tick(nowMs: number): void {
    this.#listener?.tick(nowMs);
    for (const connection of this.#dialling) connection.tick(nowMs);
    for (const link of this.#links.values())
      for (const connection of link.connections) connection.tick(nowMs);
    for (const [id, { untilMs }] of this.#expected)
      if (untilMs <= nowMs) this.#expected.delete(id);
  }

  /** A connection is being made. */
  get isOpening(): boolean {
    return this.#dialling.size > 0 || this.#expected.size > 0;
  }

  /** Something waits for `tick`. */
  get isActive(): boolean {
    if (this.isOpening) return true;
    for (const link of this.#links.values())
      if (link.connections.length > 0) return true;
    return false;
  }

  #listen(host: string, port: number): DataListener {
    if (this.#listener !== undefined) return this.#listener;
    const { poller } = this.#options;
    const listener = listenOn(host, port);
    poller.watch(listener.fd, () =>
      listener.onReadable(
        poller,
        (id) => this.#expected.get(Buffer.from(id).toString("base64"))?.keys,
        (connection, id) => this.#onAccepted(connection, id),
      ),
    );
    this.#listener = listener;
    return listener;
  }

  #onAccepted(connection: DataConnection, id: Uint8Array): void {
    const name = Buffer.from(id).toString("base64");
    const expected = this.#expected.get(name);
    this.#expected.delete(name);
    if (expected === undefined) connection.close();
    else this.#adopt(expected.link, connection);
  }

  #adopt(link: RingLink, connection: DataConnection): void {
    const { onFrame, onChange } = this.#options;
    const { connections } = link;
    connection.onFrame = (frame) => onFrame(bufferOf(frame), link);
    connection.onClosed = (error) => {
      const at = connections.indexOf(connection);
      if (at < 0) return;
      connections.splice(at, 1);
      if (at === 0) onChange(link, error);
    };
    connections.push(connection);
    if (connections.length === 1) onChange(link, undefined);
  }
}

/** Any port, where another engine of this node has the wanted one. */
function listenOn(host: string, port: number): DataListener {
  try {
    return new DataListener(host, port);
  } catch (error) {
    if (port === 0) throw error;
    return new DataListener(host, 0);
  }
}

function keysOf(text: KeysText): RingKeys {
  const bytes = (key: keyof RingKeys): Uint8Array =>
    new Uint8Array(Buffer.from(text[key], "base64"));
  return {
    sendKey: bytes("sendKey"),
    sendSalt: bytes("sendSalt"),
    receiveKey: bytes("receiveKey"),
    receiveSalt: bytes("receiveSalt"),
  };
}
