import { ShoalError, type ErrorCode } from "../lib/index.ts";
import { ByteWindow } from "./byte-window.ts";
import {
  CHECK_MS,
  MAX_DATA_FRAME_BYTES,
  MAX_QUEUED_BYTES,
  READ_BYTES,
  SILENT_MS,
} from "./defaults.ts";
import {
  FRAME_OVERHEAD,
  GcmCodec,
  LENGTH_BYTES,
  type FrameCodec,
} from "./gcm.ts";
import {
  beginsWithMagic,
  HELLO_BYTES,
  lengthAt,
  MAGIC,
  PREFACE_BYTES,
} from "./handshake.ts";
import type { RingKeys } from "./keys.ts";
import { EINPROGRESS, errno, errnoName, libc } from "./libc.ts";
import type { Poller } from "./poller.ts";
import {
  connectError,
  FAILED,
  openSocket,
  readTcpInfo,
  receiveAt,
  setConnectionOptions,
  socketAddress,
  transmitAt,
  WOULD_BLOCK,
  type TcpInfo,
} from "./sockets.ts";

export interface DialOptions {
  /** An IPv4 or IPv6 address. */
  host: string;
  port: number;
  /** The connection's 16-byte id. */
  id: Uint8Array;
  keys: RingKeys;
  poller: Poller;
  timeoutMs: number;
  /** Another way to put frames on the wire; only a bench that measures what encryption costs has one. */
  codec?: (keys: RingKeys) => FrameCodec;
}

/** connecting → proving (the peer's hello is outstanding) → open → closed. */
type State = "connecting" | "proving" | "open" | "closed";

/**
 * One end of a data connection. `onClosed` is called at most once, from the poller's `wait` or from `tick`, never from inside `dial`, `send` or
 * `close`; after `close` nothing is called. Whatever is wrong with the peer ends this connection alone.
 */
export class DataConnection {
  readonly fd: number;
  onOpen?: () => void;
  /** The frame is valid during the call only and starts at a multiple of 8. */
  onFrame?: (frame: Uint8Array) => void;
  onClosed?: (error: ShoalError) => void;
  #state: State;
  readonly #name: string;
  readonly #poller: Poller;
  readonly #codec: FrameCodec;
  readonly #out = new ByteWindow(256, READ_BYTES);
  readonly #in = new ByteWindow(256, READ_BYTES);
  /** The opened frame, and the last view of it: frames of one length follow each other. */
  readonly #plain = new ByteWindow(64, READ_BYTES);
  #frame = new Uint8Array();
  #waitsForRoom = false;
  #isHeld = false;
  #timeoutMs = 0;
  #startedMs: number | undefined;
  #checkedMs: number | undefined;
  readonly #info: TcpInfo = {
    unacknowledged: 0,
    probes: 0,
    lastAcknowledgedMs: 0,
    roundTripUs: 0,
  };

  /** Connects without waiting. Both sides prove their keys before any frame counts. */
  static dial(o: DialOptions): DataConnection {
    const name = `${o.host} port ${o.port}`;
    const address = socketAddress(o.host, o.port);
    const fd = address === undefined ? FAILED : openSocket(address.family);
    const codec = (o.codec ?? gcm)(o.keys);
    const connection = new DataConnection(fd, codec, o.poller, name, false);
    connection.#timeoutMs = o.timeoutMs;
    if (address === undefined || fd === FAILED) {
      const reason = address ? errnoName(errno()) : "it is no address";
      connection.#fail("RING_UNREACHABLE", `cannot connect: ${reason}`);
      return connection;
    }
    setConnectionOptions(fd);
    connection.#introduce(o.id);
    if (
      libc().connect(fd, address.memory.address, address.length) !== 0 &&
      errno() !== EINPROGRESS
    )
      connection.#fail(
        "RING_UNREACHABLE",
        `cannot connect: ${errnoName(errno())}`,
      );
    else o.poller.whenWritable(fd, () => connection.#connected());
    return connection;
  }

  /** A connection whose dialer has proven its keys; only the listener makes one. */
  static accepted(
    fd: number,
    codec: FrameCodec,
    poller: Poller,
    name: string,
  ): DataConnection {
    const connection = new DataConnection(fd, codec, poller, name, true);
    poller.watch(fd, () => connection.#onReadable());
    connection.send([MAGIC]);
    return connection;
  }

  private constructor(
    fd: number,
    codec: FrameCodec,
    poller: Poller,
    name: string,
    isProven: boolean,
  ) {
    this.fd = fd;
    this.#codec = codec;
    this.#poller = poller;
    this.#name = name;
    this.#state = isProven ? "open" : "connecting";
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Bytes that the socket did not take yet. */
  get queuedBytes(): number {
    return this.#out.length;
  }

  /** The kernel's smoothed measurement, 0 if there is none yet. */
  get roundTripUs(): number {
    const known = this.isOpen && readTcpInfo(this.fd, this.#info);
    return known ? this.#info.roundTripUs : 0;
  }

  /**
   * Sends one frame of these parts, encrypted into one reused buffer. What the socket does not take waits, at most 64 MiB; then the connection
   * ends with RING_CONGESTED. Before it is open, frames wait; after its end they are dropped. Never blocks.
   */
  send(parts: readonly Uint8Array[]): void {
    if (this.#state === "closed") return;
    let length = 0;
    for (const part of parts) length += part.byteLength;
    if (length > MAX_DATA_FRAME_BYTES)
      return this.#fail("INTERNAL", `a frame of ${length} bytes is too long`);
    const out = this.#out;
    const bytes = length + FRAME_OVERHEAD;
    if (out.length + bytes > MAX_QUEUED_BYTES)
      return this.#fail("RING_CONGESTED", "it takes frames too slowly");
    out.reserve(bytes);
    this.#codec.seal(parts, length, out.memory, out.end);
    out.put(bytes);
    if (!this.#isHeld) this.#flushIfReady();
  }

  /** What is sent from now on waits for `release`, and then goes in one piece: the peer finds it there together. */
  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    this.#isHeld = false;
    if (this.#state !== "closed") this.#flushIfReady();
  }

  /** To be called about once a second: deadlines, a peer that is gone, memory given back. */
  tick(nowMs: number): void {
    this.#startedMs ??= nowMs;
    if (
      (this.#state === "connecting" || this.#state === "proving") &&
      nowMs - this.#startedMs >= this.#timeoutMs
    ) {
      if (this.#state === "connecting")
        this.#fail("RING_UNREACHABLE", "no answer");
      else this.#fail("RING_UNAUTHENTICATED", "it did not prove its key");
    }
    if (this.#state !== "open") return;
    if (nowMs - (this.#checkedMs ?? -Infinity) < CHECK_MS) return;
    this.#checkedMs = nowMs;
    this.#in.trim();
    this.#out.trim();
    this.#plain.trim();
    if (readTcpInfo(this.fd, this.#info) && isSilent(this.#info))
      this.#fail("RING_CLOSED", `no answer for ${SILENT_MS / 1000} s`);
  }

  /** Ends it at once. What still waits is not sent. */
  close(): void {
    this.#end();
    delete this.onClosed;
  }

  /** The preface and the hello, to be sent as soon as the socket is connected. */
  #introduce(id: Uint8Array): void {
    const out = this.#out;
    out.reserve(PREFACE_BYTES + HELLO_BYTES);
    out.memory.bytes.set(MAGIC, out.end);
    out.memory.bytes.set(id, out.end + MAGIC.length);
    out.put(PREFACE_BYTES);
    this.send([MAGIC]);
  }

  #connected(): void {
    const reason = connectError(this.fd);
    if (reason !== 0)
      return this.#fail(
        "RING_UNREACHABLE",
        `cannot connect: ${errnoName(reason)}`,
      );
    this.#state = "proving";
    this.#poller.whenWritable(this.fd, undefined);
    this.#poller.watch(this.fd, () => this.#onReadable());
    this.#flush();
  }

  #flushIfReady(): void {
    if (!this.#waitsForRoom && this.#state !== "connecting") this.#flush();
  }

  #flush(): void {
    const out = this.#out;
    while (out.length > 0) {
      const address = out.memory.address + out.start;
      const written = transmitAt(this.fd, address, out.length);
      if (written === FAILED) return this.#lost(errnoName(errno()));
      if (written === WOULD_BLOCK) break;
      out.take(written);
    }
    const waits = out.length > 0;
    if (waits === this.#waitsForRoom) return;
    this.#waitsForRoom = waits;
    this.#poller.whenWritable(this.fd, waits ? () => this.#flush() : undefined);
  }

  #onReadable(): void {
    const input = this.#in;
    const missing =
      input.length < LENGTH_BYTES ? 1 : this.#nextBytes() - input.length;
    input.reserve(
      this.isOpen ? Math.max(READ_BYTES - input.length, missing) : 1,
    );
    const address = input.memory.address + input.end;
    const read = receiveAt(this.fd, address, input.room);
    if (read === WOULD_BLOCK) return;
    if (read === 0) return this.#lost("the other side closed it");
    if (read === FAILED) return this.#lost(errnoName(errno()));
    input.put(read);
    while (this.#state !== "closed" && this.#openNext());
  }

  /** What the next frame takes on the wire. Its length was checked when it arrived. */
  #nextBytes(): number {
    return lengthAt(this.#in.memory, this.#in.start) + FRAME_OVERHEAD;
  }

  /** Opens the next frame and hands it on. False if it has not arrived as a whole. */
  #openNext(): boolean {
    const input = this.#in;
    if (input.length < LENGTH_BYTES) return false;
    const length = lengthAt(input.memory, input.start);
    const isHello = this.#state === "proving";
    if (isHello ? length !== MAGIC.length : length > MAX_DATA_FRAME_BYTES) {
      this.#fail("RING_UNAUTHENTICATED", `a frame of ${length} bytes`);
      return false;
    }
    if (input.length < length + FRAME_OVERHEAD) return false;
    const plain = this.#plain;
    plain.reserve(length);
    if (!this.#codec.open(input.memory, input.start, length, plain.memory)) {
      this.#fail("RING_UNAUTHENTICATED", "a frame does not authenticate");
      return false;
    }
    input.take(length + FRAME_OVERHEAD);
    const frame = this.#view(length);
    if (!isHello) {
      this.onFrame?.(frame);
    } else if (beginsWithMagic(frame)) {
      this.#state = "open";
      this.onOpen?.();
    } else {
      this.#fail("RING_UNAUTHENTICATED", "another hello");
    }
    return true;
  }

  #view(length: number): Uint8Array {
    const { buffer } = this.#plain.memory.bytes;
    if (this.#frame.buffer !== buffer || this.#frame.length !== length)
      this.#frame = new Uint8Array(buffer, 0, length);
    return this.#frame;
  }

  /** The socket ended. A dialer whose peer did not say hello yet was not believed. */
  #lost(reason: string): void {
    if (this.#state === "proving")
      this.#fail("RING_UNAUTHENTICATED", `no hello: ${reason}`);
    else this.#fail("RING_CLOSED", reason);
  }

  #fail(code: ErrorCode, reason: string): void {
    if (!this.#end()) return;
    const error = new ShoalError(
      code,
      `data connection to ${this.#name}: ${reason}`,
    );
    this.#poller.soon(() => this.onClosed?.(error));
  }

  /** False if it had ended already. */
  #end(): boolean {
    if (this.#state === "closed") return false;
    this.#state = "closed";
    this.#codec.free();
    if (this.fd >= 0) {
      this.#poller.unwatch(this.fd);
      libc().close(this.fd);
    }
    return true;
  }
}

function gcm(keys: RingKeys): FrameCodec {
  return new GcmCodec(keys);
}

/**
 * A peer that has no room to read is not silent: its kernel answers the probes. That is why TCP_USER_TIMEOUT cannot be used: it also ends
 * connections to an engine that computes for longer.
 */
function isSilent(info: TcpInfo): boolean {
  const isAsked = info.unacknowledged > 0 || info.probes > 3;
  return isAsked && info.lastAcknowledgedMs > SILENT_MS;
}
