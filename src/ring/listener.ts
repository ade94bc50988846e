import { ShoalError } from "../lib/index.ts";
import { DataConnection } from "./connection.ts";
import { MAX_ACCEPTS, MAX_STRANGERS, PROOF_TIMEOUT_MS } from "./defaults.ts";
import { GcmCodec, type FrameCodec } from "./gcm.ts";
import {
  beginsWithMagic,
  HELLO_BYTES,
  lengthAt,
  MAGIC,
  PREFACE_BYTES,
} from "./handshake.ts";
import type { RingKeys } from "./keys.ts";
import {
  allocate,
  EADDRINUSE,
  EAGAIN,
  ECONNABORTED,
  EINTR,
  errno,
  errnoName,
  libc,
  SOCK_FLAGS,
  type Memory,
} from "./libc.ts";
import type { Poller } from "./poller.ts";
import {
  FAILED,
  localPort,
  openSocket,
  receiveAt,
  setConnectionOptions,
  setListenerOptions,
  socketAddress,
  WOULD_BLOCK,
} from "./sockets.ts";

/** Gives the keys of an expected connection, once. */
export type KeysOf = (connection: Uint8Array) => RingKeys | undefined;
export type OnDataConnection = (
  connection: DataConnection,
  id: Uint8Array,
) => void;

/** An accepted connection that has not proven its keys. */
interface Stranger {
  fd: number;
  poller: Poller;
  /** Exactly the preface and the hello: what follows is read by the connection itself. */
  memory: Memory;
  length: number;
  /** Once the preface named an expected connection. */
  codec: FrameCodec | undefined;
  /** By the clock of `tick`. */
  sinceMs: number | undefined;
}

/** The queue of connections that wait to be accepted. */
const BACKLOG = 64;

/** The listening data socket of an engine. */
export class DataListener {
  readonly fd: number;
  readonly port: number;
  /** Oldest first. */
  readonly #strangers = new Set<Stranger>();
  readonly #codecFor: (keys: RingKeys) => FrameCodec;
  /** Watches the socket again, after there was no descriptor left to accept with. */
  #resume: (() => void) | undefined;

  /** `host` is an IPv4 or IPv6 address; port 0 takes any. `codec`: see DialOptions. */
  constructor(
    host: string,
    port: number,
    codec: (keys: RingKeys) => FrameCodec = (keys) => new GcmCodec(keys),
  ) {
    this.#codecFor = codec;
    const address = socketAddress(host, port);
    if (address === undefined)
      throw new ShoalError(
        "ADDRESS_INVALID",
        `data socket: ${host} is no IPv4 or IPv6 address`,
      );
    this.fd = openSocket(address.family);
    if (this.fd === FAILED) throw cannotListen(host, port);
    setListenerOptions(this.fd, address.family);
    const { address: at } = address.memory;
    if (
      libc().bind(this.fd, at, address.length) !== 0 ||
      libc().listen(this.fd, BACKLOG) !== 0
    ) {
      const error = cannotListen(host, port);
      libc().close(this.fd);
      throw error;
    }
    this.port = localPort(this.fd);
  }

  /** Accepted connections that have not proven their keys. */
  get strangers(): number {
    return this.#strangers.size;
  }

  /** Accepts what waits. `onOpen` gets each connection that has proven its keys, before its first frame. */
  onReadable(poller: Poller, keysOf: KeysOf, onOpen: OnDataConnection): void {
    for (let i = 0; i < MAX_ACCEPTS; i++) {
      const fd = libc().accept4(this.fd, 0, 0, SOCK_FLAGS);
      if (fd < 0) {
        const reason = errno();
        if (reason === EINTR || reason === ECONNABORTED) continue;
        if (reason !== EAGAIN) this.#pause(poller, keysOf, onOpen);
        return;
      }
      this.#admit(fd, poller, keysOf, onOpen);
    }
  }

  /** To be called about once a second: closes those that are late. */
  tick(nowMs: number): void {
    for (const stranger of this.#strangers) {
      stranger.sinceMs ??= nowMs;
      if (nowMs - stranger.sinceMs >= PROOF_TIMEOUT_MS) this.#drop(stranger);
    }
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
  }

  /** Also closes those that have not proven their keys. Open connections go on. Unwatch `fd` before. */
  close(): void {
    for (const stranger of this.#strangers) this.#drop(stranger);
    this.#resume = undefined;
    libc().close(this.fd);
  }

  #admit(
    fd: number,
    poller: Poller,
    keysOf: KeysOf,
    onOpen: OnDataConnection,
  ): void {
    // An expected peer proves itself within a round trip, so the oldest is the least likely to be one.
    const [oldest] = this.#strangers;
    if (oldest && this.#strangers.size >= MAX_STRANGERS) this.#drop(oldest);
    setConnectionOptions(fd);
    const stranger: Stranger = {
      fd,
      poller,
      memory: allocate(PREFACE_BYTES + HELLO_BYTES),
      length: 0,
      codec: undefined,
      sinceMs: undefined,
    };
    this.#strangers.add(stranger);
    poller.watch(fd, () => this.#hear(stranger, keysOf, onOpen));
  }

  #hear(stranger: Stranger, keysOf: KeysOf, onOpen: OnDataConnection): void {
    const { memory, fd } = stranger;
    const read = receiveAt(
      fd,
      memory.address + stranger.length,
      memory.bytes.length - stranger.length,
    );
    if (read === WOULD_BLOCK) return;
    if (read <= 0) return this.#drop(stranger);
    stranger.length += read;
    if (!this.#isPlausible(stranger, keysOf)) return this.#drop(stranger);
    if (stranger.length === memory.bytes.length) this.#prove(stranger, onOpen);
  }

  /** Checks what has arrived so far, and takes the keys once the id is there. */
  #isPlausible(stranger: Stranger, keysOf: KeysOf): boolean {
    const { bytes } = stranger.memory;
    const { length } = stranger;
    if (!MAGIC.every((byte, i) => i >= length || bytes[i] === byte))
      return false;
    if (length < PREFACE_BYTES || stranger.codec) return true;
    const keys = keysOf(idOf(stranger));
    if (keys === undefined) return false;
    stranger.codec = this.#codecFor(keys);
    return true;
  }

  #prove(stranger: Stranger, onOpen: OnDataConnection): void {
    const { codec, memory, fd, poller } = stranger;
    const hello = allocate(MAGIC.length);
    const isProven =
      codec !== undefined &&
      lengthAt(memory, PREFACE_BYTES) === MAGIC.length &&
      codec.open(memory, PREFACE_BYTES, MAGIC.length, hello) &&
      beginsWithMagic(hello.bytes);
    if (!isProven) return this.#drop(stranger);
    this.#strangers.delete(stranger);
    const id = idOf(stranger);
    const name = `${Buffer.from(id).toString("hex")} (accepted)`;
    onOpen(DataConnection.accepted(fd, codec, poller, name), id);
  }

  #drop(stranger: Stranger): void {
    this.#strangers.delete(stranger);
    stranger.codec?.free();
    stranger.poller.unwatch(stranger.fd);
    libc().close(stranger.fd);
  }

  /** No descriptor is left: the socket would stay readable for ever, so it is watched again only after the next tick. */
  #pause(poller: Poller, keysOf: KeysOf, onOpen: OnDataConnection): void {
    poller.unwatch(this.fd);
    this.#resume = () =>
      poller.watch(this.fd, () => this.onReadable(poller, keysOf, onOpen));
  }
}

function idOf(stranger: Stranger): Uint8Array {
  return stranger.memory.bytes.slice(MAGIC.length, PREFACE_BYTES);
}

function cannotListen(host: string, port: number): ShoalError {
  const reason = errno();
  return new ShoalError(
    reason === EADDRINUSE ? "PORT_IN_USE" : "ADDRESS_INVALID",
    `data socket: cannot listen on ${host} port ${port}: ${errnoName(reason)}`,
    { port },
  );
}
