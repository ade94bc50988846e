/**
 * The UDP sockets of the QUIC binding, for datagrams of our own. The binding has no way to send one, but its sockets are file descriptors of
 * this process: on Linux /proc/self/fd lists them, and libc's `sendto` sends from them. What comes back goes to the binding, which ignores
 * what is not QUIC. Elsewhere than on Linux there is no way, and `send` says so.
 */
import { readdirSync, readlinkSync } from "node:fs";
import { isIP } from "node:net";
import koffi, { type LibraryHandle } from "koffi";

/** An IP address and a UDP or TCP port. */
export interface Endpoint {
  host: string;
  port: number;
}

/** Of the listener, at which others dial; of the dialler, from which this host dials. */
export type UdpSocketName = "listener" | "dialler";

// Linux, the same on x64 and arm64.
const AF_INET = 2;
const AF_INET6 = 10;
const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SOCK_DGRAM = 2;
/** MSG_DONTWAIT | MSG_NOSIGNAL. */
const SEND_FLAGS = 0x40 | 0x4000;
const SOCKADDR_BYTES = 28;
/** A probe has 24 bytes; more than this is no probe. */
const MAX_DATAGRAM_BYTES = 64;

const FILES = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"];

interface Native {
  getsockname(fd: number, address: number, length: number): number;
  getpeername(fd: number, address: number, length: number): number;
  getsockopt(
    fd: number,
    level: number,
    name: number,
    value: number,
    length: number,
  ): number;
  inet_pton(family: number, text: string, address: number): number;
  sendto(
    fd: number,
    data: number,
    bytes: number,
    flags: number,
    to: number,
    toBytes: number,
  ): number;
}

function openNative(): Native | undefined {
  if (process.platform !== "linux") return undefined;
  for (const file of FILES) {
    try {
      return bind(koffi.load(file));
    } catch {
      // the next one
    }
  }
  return undefined;
}

function bind(library: LibraryHandle): Native {
  const f = (declaration: string): never =>
    library.func(declaration) as unknown as never;
  return {
    getsockname: f("int getsockname(int, uintptr_t, uintptr_t)"),
    getpeername: f("int getpeername(int, uintptr_t, uintptr_t)"),
    getsockopt: f("int getsockopt(int, int, int, uintptr_t, uintptr_t)"),
    inet_pton: f("int inet_pton(int, const char *, uintptr_t)"),
    sendto: f(
      "intptr_t sendto(int, uintptr_t, size_t, int, uintptr_t, uint32)",
    ),
  };
}

let opened: { native: Native | undefined } | undefined;
function native(): Native | undefined {
  opened ??= { native: openNative() };
  return opened.native;
}

/** Reused for every call, which are never nested: an address, its length, a datagram. */
const memory = new ArrayBuffer(SOCKADDR_BYTES + 4 + MAX_DATAGRAM_BYTES);
const view = new DataView(memory);
const bytes = new Uint8Array(memory);
const LENGTH_AT = SOCKADDR_BYTES;
const DATA_AT = SOCKADDR_BYTES + 4;
let at: number | undefined;
const addressAt = (offset: number): number =>
  (at ??= Number(koffi.address(memory))) + offset;

interface Found {
  family: 4 | 6;
  port: number;
}

/** The family and port of an unconnected UDP socket; undefined if `fd` is something else. */
function udpSocket(fd: number): Found | undefined {
  const libc = native();
  if (libc === undefined) return undefined;
  view.setUint32(LENGTH_AT, 4, true);
  const asked = libc.getsockopt(
    fd,
    SOL_SOCKET,
    SO_TYPE,
    addressAt(0),
    addressAt(LENGTH_AT),
  );
  if (asked !== 0 || view.getInt32(0, true) !== SOCK_DGRAM) return undefined;
  view.setUint32(LENGTH_AT, SOCKADDR_BYTES, true);
  if (libc.getsockname(fd, addressAt(0), addressAt(LENGTH_AT)) !== 0)
    return undefined;
  const family = view.getUint16(0, true);
  const port = view.getUint16(2, false);
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  view.setUint32(LENGTH_AT, SOCKADDR_BYTES, true);
  // A resolver's sockets are connected.
  if (libc.getpeername(fd, addressAt(0), addressAt(LENGTH_AT)) === 0)
    return undefined;
  return { family: family === AF_INET ? 4 : 6, port };
}

function udpSockets(): Map<number, Found> {
  const found = new Map<number, Found>();
  if (native() === undefined) return found;
  for (const name of readdirSync("/proc/self/fd")) {
    const fd = Number(name);
    try {
      if (!readlinkSync(`/proc/self/fd/${name}`).startsWith("socket:"))
        continue;
    } catch {
      continue; // closed meanwhile
    }
    const socket = udpSocket(fd);
    if (socket !== undefined) found.set(fd, socket);
  }
  return found;
}

/** One socket of the binding. */
export class UdpSocket {
  readonly #fd: number;
  readonly #found: Found;

  private constructor(fd: number, found: Found) {
    this.#fd = fd;
    this.#found = found;
  }

  /** What is bound to `port`. */
  static boundTo(family: 4 | 6, port: number): UdpSocket | undefined {
    for (const [fd, found] of udpSockets())
      if (found.port === port && found.family === family)
        return new UdpSocket(fd, found);
    return undefined;
  }

  /** What `make` makes, and its socket: undefined unless exactly one appeared. */
  static madeBy<T>(
    family: 4 | 6,
    make: () => T,
  ): { made: T; socket: UdpSocket | undefined } {
    const before = udpSockets();
    const made = make();
    const appeared = [...udpSockets()].filter(
      ([fd, found]) =>
        found.family === family && before.get(fd)?.port !== found.port,
    );
    const [only] = appeared;
    const isSure = appeared.length === 1 && only !== undefined;
    return { made, socket: isSure ? new UdpSocket(...only) : undefined };
  }

  get family(): 4 | 6 {
    return this.#found.family;
  }

  /** False if the system refuses, or if the descriptor is another socket's by now. */
  send(data: Uint8Array, to: Endpoint): boolean {
    const libc = native();
    const now = udpSocket(this.#fd);
    if (
      libc === undefined ||
      data.byteLength > MAX_DATAGRAM_BYTES ||
      now?.port !== this.#found.port ||
      now.family !== this.#found.family
    )
      return false;
    const { family } = this.#found;
    if (family === 4 && isIP(to.host) !== 4) return false;
    const host =
      family === 6 && isIP(to.host) === 4 ? mapped(to.host) : to.host;
    bytes.fill(0, 0, SOCKADDR_BYTES);
    view.setUint16(0, family === 4 ? AF_INET : AF_INET6, true);
    view.setUint16(2, to.port, false);
    const ipAt = addressAt(family === 4 ? 4 : 8);
    const asked = family === 4 ? AF_INET : AF_INET6;
    if (libc.inet_pton(asked, host, ipAt) !== 1) return false;
    bytes.set(data, DATA_AT);
    const sent = libc.sendto(
      this.#fd,
      addressAt(DATA_AT),
      data.byteLength,
      SEND_FLAGS,
      addressAt(0),
      family === 4 ? 16 : SOCKADDR_BYTES,
    );
    return sent === data.byteLength;
  }
}

function mapped(host: string): string {
  return `::ffff:${host}`;
}

/** The sockets of one host's QUIC transport. */
export class UdpSockets {
  readonly #listeners = new Map<
    object,
    { family: 4 | 6; port: number; socket?: UdpSocket | undefined }
  >();
  readonly #diallers = new Map<4 | 6, UdpSocket>();
  /** Makes the dialler of a family, if it was not made yet: the transport does so with its first dial. */
  openDialler: ((family: 4 | 6) => void) | undefined;

  /** Why none can be used; undefined if they can. */
  get missing(): string | undefined {
    if (process.platform !== "linux")
      return `the QUIC socket cannot be used on ${process.platform}`;
    return native() === undefined ? "libc cannot be loaded" : undefined;
  }

  addListener(owner: object, family: 4 | 6, port: number): void {
    this.#listeners.set(owner, { family, port });
  }

  /** Call it before the socket is closed: its descriptor may be another's afterwards. */
  removeListener(owner: object): void {
    this.#listeners.delete(owner);
  }

  /** What `make` makes is the dialler of `family` from now on. */
  makeDialler<T>(family: 4 | 6, make: () => T): T {
    const { made, socket } = UdpSocket.madeBy(family, make);
    if (socket !== undefined) this.#diallers.set(family, socket);
    return made;
  }

  removeDiallers(): void {
    this.#diallers.clear();
  }

  /** Sends one datagram. False where there is no such socket, or it cannot reach that family. */
  send(from: UdpSocketName, data: Uint8Array, to: Endpoint): boolean {
    const family = isIP(to.host) === 6 ? 6 : 4;
    if (from === "dialler") this.openDialler?.(family);
    const fitting =
      from === "dialler" ? [this.#diallers.get(family)] : this.#of(family);
    return fitting.some((socket) => socket?.send(data, to) === true);
  }

  /** Listeners that reach `family`, of the same family first. */
  #of(family: 4 | 6): (UdpSocket | undefined)[] {
    return [...this.#listeners.values()]
      .sort((a, b) => Number(b.family === family) - Number(a.family === family))
      .map((one) => (one.socket ??= UdpSocket.boundTo(one.family, one.port)));
  }
}
