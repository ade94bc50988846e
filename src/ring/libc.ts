/**
 * The calls of libc that data connections need. No other file names one. Addresses of memory are passed as numbers (`Memory`), because that
 * allocates nothing and is the fastest way through koffi. Constants are Linux's, the same on x64 and arm64.
 */
import koffi, { type LibraryHandle } from "koffi";
import { ShoalError } from "../lib/index.ts";

/** Zero-filled bytes outside of V8's heap, which never move, and their address. It is valid as long as this object is reachable. */
export interface Memory {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  readonly address: number;
}

export function allocate(byteLength: number): Memory {
  const buffer = new ArrayBuffer(byteLength);
  return {
    bytes: new Uint8Array(buffer),
    view: new DataView(buffer),
    address: Number(koffi.address(buffer)),
  };
}

/** Each call returns -1 where it fails; then `errno()` has the reason. */
export interface Libc {
  socket(family: number, type: number, protocol: number): number;
  bind(fd: number, address: number, length: number): number;
  listen(fd: number, backlog: number): number;
  connect(fd: number, address: number, length: number): number;
  accept4(fd: number, address: number, length: number, flags: number): number;
  getsockname(fd: number, address: number, length: number): number;
  getsockopt(
    fd: number,
    level: number,
    name: number,
    value: number,
    length: number,
  ): number;
  setsockopt(
    fd: number,
    level: number,
    name: number,
    value: number,
    length: number,
  ): number;
  recv(fd: number, buffer: number, length: number, flags: number): number;
  send(fd: number, buffer: number, length: number, flags: number): number;
  poll(fds: number, count: number, timeoutMs: number): number;
  inet_pton(family: number, text: string, address: number): number;
  close(fd: number): number;
}

export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_STREAM = 1;
/** For `socket` and `accept4`: SOCK_NONBLOCK | SOCK_CLOEXEC. */
export const SOCK_FLAGS = 0o4000 | 0o2000000;
export const SOL_SOCKET = 1;
export const SO_REUSEADDR = 2;
export const SO_ERROR = 4;
export const SO_KEEPALIVE = 9;
export const IPPROTO_TCP = 6;
export const TCP_NODELAY = 1;
export const TCP_KEEPIDLE = 4;
export const TCP_KEEPINTVL = 5;
export const TCP_KEEPCNT = 6;
export const TCP_INFO = 11;
export const TCP_QUICKACK = 12;
export const IPPROTO_IPV6 = 41;
export const IPV6_V6ONLY = 26;
/** For `recv` and `send`: MSG_DONTWAIT | MSG_NOSIGNAL. */
export const MSG_FLAGS = 0x40 | 0x4000;
export const POLLIN = 1;
export const POLLOUT = 4;
export const EINTR = 4;
export const EAGAIN = 11;
export const ECONNABORTED = 103;
export const EADDRINUSE = 98;
export const EINPROGRESS = 115;

const FILES = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"];

function openLibc(): LibraryHandle | undefined {
  if (process.platform !== "linux") return undefined;
  for (const file of FILES) {
    try {
      return koffi.load(file);
    } catch {
      // the next one
    }
  }
  return undefined;
}

function bindLibc(library: LibraryHandle): Libc {
  const f = (declaration: string): never =>
    library.func(declaration) as unknown as never;
  return {
    socket: f("int socket(int, int, int)"),
    bind: f("int bind(int, uintptr_t, uint32)"),
    listen: f("int listen(int, int)"),
    connect: f("int connect(int, uintptr_t, uint32)"),
    accept4: f("int accept4(int, uintptr_t, uintptr_t, int)"),
    getsockname: f("int getsockname(int, uintptr_t, uintptr_t)"),
    getsockopt: f("int getsockopt(int, int, int, uintptr_t, uintptr_t)"),
    setsockopt: f("int setsockopt(int, int, int, uintptr_t, uint32)"),
    recv: f("intptr_t recv(int, uintptr_t, size_t, int)"),
    send: f("intptr_t send(int, uintptr_t, size_t, int)"),
    poll: f("int poll(uintptr_t, ulong, int)"),
    inet_pton: f("int inet_pton(int, const char *, uintptr_t)"),
    close: f("int close(int)"),
  };
}

const library = openLibc();
const bound = library && bindLibc(library);
export const hasLibc = bound !== undefined;

export function libc(): Libc {
  if (bound === undefined)
    throw new ShoalError("INTERNAL", "data sockets exist on Linux only");
  return bound;
}

/** Why the last call failed. */
export function errno(): number {
  return koffi.errno();
}

export function errnoName(value: number): string {
  const found = Object.entries(koffi.os.errno).find(([, n]) => n === value);
  return found?.[0] ?? `errno ${value}`;
}

/** The address of an array's first byte, for arrays that others allocated. */
export function addressOf(array: Uint8Array): number {
  return Number(koffi.address(array));
}
