/** Sockets whose bytes a test chooses itself: a hostile dialer or listener of data connections. */
import {
  allocate,
  libc,
  SOCK_FLAGS,
  type Memory,
} from "../../src/ring/libc.ts";
import {
  localPort,
  openSocket,
  receive,
  socketAddress,
  transmit,
} from "../../src/ring/sockets.ts";
import { GcmCodec, FRAME_OVERHEAD } from "../../src/ring/gcm.ts";
import { MAGIC } from "../../src/ring/handshake.ts";
import type { RingKeys } from "../../src/ring/index.ts";

export class RawSocket implements Disposable {
  readonly fd: number;
  #isClosed = false;

  constructor(fd: number) {
    if (fd < 0) throw new Error("no socket");
    this.fd = fd;
  }

  /** Connects to a port of 127.0.0.1; on loopback that succeeds at once. */
  static dial(port: number): RawSocket {
    const { family, length, memory } = socketAddress("127.0.0.1", port)!;
    const fd = openSocket(family);
    libc().connect(fd, memory.address, length);
    return new RawSocket(fd);
  }

  /** Sends all of it; a test's bytes fit into the kernel's buffer. */
  send(...pieces: Uint8Array[]): void {
    const bytes = Buffer.concat(pieces);
    if (bytes.length > 0) transmit(this.fd, bytes, 0, bytes.length);
  }

  /** What has arrived, or undefined after the end. */
  read(): Buffer | undefined {
    const into = Buffer.alloc(65_536);
    const read = receive(this.fd, into, 0, into.length);
    return read === 0 ? undefined : into.subarray(0, Math.max(0, read));
  }

  get isEnded(): boolean {
    return this.read() === undefined;
  }

  /** Closes it. */
  end(): void {
    if (!this.#isClosed) libc().close(this.fd);
    this.#isClosed = true;
  }

  [Symbol.dispose](): void {
    this.end();
  }
}

/** Listens on any port of 127.0.0.1. */
export class RawListener implements Disposable {
  readonly fd: number;
  readonly port: number;

  constructor() {
    const { family, length, memory } = socketAddress("127.0.0.1", 0)!;
    this.fd = openSocket(family);
    if (
      libc().bind(this.fd, memory.address, length) !== 0 ||
      libc().listen(this.fd, 16) !== 0
    )
      throw new Error("cannot listen");
    this.port = localPort(this.fd);
  }

  accept(): RawSocket {
    return new RawSocket(libc().accept4(this.fd, 0, 0, SOCK_FLAGS));
  }

  [Symbol.dispose](): void {
    libc().close(this.fd);
  }
}

/** One end's cipher, for single frames. */
export class Sealer implements Disposable {
  readonly codec: GcmCodec;

  constructor(keys: RingKeys) {
    this.codec = new GcmCodec(keys);
  }

  /** The next frame's bytes on the wire. */
  seal(...parts: Uint8Array[]): Buffer {
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    const out = allocate(length + FRAME_OVERHEAD);
    this.codec.seal(parts, length, out, 0);
    return Buffer.from(out.bytes);
  }

  /** The body of the next frame, undefined if it is not authentic. */
  open(wire: Uint8Array): Buffer | undefined {
    const length = wire.length - FRAME_OVERHEAD;
    const from = memoryOf(wire);
    const into = allocate(Math.max(8, length));
    return this.codec.open(from, 0, length, into)
      ? Buffer.from(into.bytes.subarray(0, length))
      : undefined;
  }

  /** The frame that proves this end's keys. */
  hello(): Buffer {
    return this.seal(MAGIC);
  }

  [Symbol.dispose](): void {
    this.codec.free();
  }
}

export function preface(id: Uint8Array): Buffer {
  return Buffer.concat([MAGIC, id]);
}

function memoryOf(bytes: Uint8Array): Memory {
  const memory = allocate(bytes.length);
  memory.bytes.set(bytes);
  return memory;
}
