/** Non-blocking stream sockets: what the room needs of them, over libc.ts. */
import { ShoalError } from "../lib/index.ts";
import {
  addressOf,
  AF_INET,
  AF_INET6,
  allocate,
  EAGAIN,
  EINTR,
  errno,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  IPV6_V6ONLY,
  libc,
  MSG_FLAGS,
  SO_ERROR,
  SO_KEEPALIVE,
  SO_REUSEADDR,
  SOCK_FLAGS,
  SOCK_STREAM,
  SOL_SOCKET,
  TCP_INFO,
  TCP_KEEPCNT,
  TCP_KEEPIDLE,
  TCP_KEEPINTVL,
  TCP_NODELAY,
  type Memory,
} from "./libc.ts";

/** A silent peer is noticed after about this many seconds of keep-alives without an answer, as with QUIC (network/defaults.ts). */
export const KEEP_ALIVES = 3;

/** Nothing there now, or no room now. */
export const WOULD_BLOCK = -1;
/** The socket failed: `errno()` has the reason. */
export const FAILED = -2;

/** `recv` without waiting, to an address: bytes read, 0 at the end, WOULD_BLOCK or FAILED. */
export function receiveAt(fd: number, address: number, length: number): number {
  const read = libc().recv(fd, address, length, MSG_FLAGS);
  return read >= 0 ? read : failure();
}

/** `send` without waiting, from an address: bytes written, WOULD_BLOCK or FAILED. */
export function transmitAt(
  fd: number,
  address: number,
  length: number,
): number {
  const written = libc().send(fd, address, length, MSG_FLAGS);
  return written >= 0 ? written : failure();
}

function failure(): number {
  const reason = errno();
  return reason === EAGAIN || reason === EINTR ? WOULD_BLOCK : FAILED;
}

/** `recv` without waiting on any socket: bytes read, 0 at the end or after an error, -1 where nothing is there. */
export function receive(
  fd: number,
  into: Uint8Array,
  at: number,
  length: number,
): number {
  const read = receiveAt(fd, addressIn(into, at, length), length);
  return read === FAILED ? 0 : read;
}

/** `send` without waiting on any socket: bytes written, 0 after an error, -1 where no room is. */
export function transmit(
  fd: number,
  from: Uint8Array,
  at: number,
  length: number,
): number {
  const written = transmitAt(fd, addressIn(from, at, length), length);
  return written === FAILED ? 0 : written;
}

/** Addresses of arrays that were used before: what never moves is looked up once. */
const addresses = new WeakMap<Uint8Array, number>();

function addressIn(array: Uint8Array, at: number, length: number): number {
  if (at < 0 || length < 0 || at + length > array.byteLength)
    throw new RangeError(`${at} + ${length} of ${array.byteLength} bytes`);
  let address = addresses.get(array);
  if (address === undefined) {
    address = addressOf(array);
    addresses.set(array, address);
  }
  return address + at;
}

/** Reused for every small option and address: calls are never nested. */
const small: Memory = allocate(128);
const smallLength: Memory = allocate(4);

export interface SocketAddress {
  family: number;
  /** Bytes of the sockaddr in `memory`. */
  length: number;
  memory: Memory;
}

/** sockaddr_in (16 bytes) or sockaddr_in6 (28) of a numeric address, or undefined if it is none. */
export function socketAddress(
  host: string,
  port: number,
): SocketAddress | undefined {
  const family = host.includes(":") ? AF_INET6 : AF_INET;
  const memory = allocate(28);
  memory.view.setUint16(0, family, true);
  memory.view.setUint16(2, port, false);
  const at = family === AF_INET ? 4 : 8;
  if (libc().inet_pton(family, host, memory.address + at) !== 1)
    return undefined;
  return { family, length: family === AF_INET ? 16 : 28, memory };
}

/** A new stream socket, or FAILED. */
export function openSocket(family: number): number {
  const fd = libc().socket(family, SOCK_STREAM | SOCK_FLAGS, 0);
  return fd < 0 ? FAILED : fd;
}

export function setOption(
  fd: number,
  level: number,
  name: number,
  value: number,
): boolean {
  small.view.setInt32(0, value, true);
  return libc().setsockopt(fd, level, name, small.address, 4) === 0;
}

export function setListenerOptions(fd: number, family: number): void {
  setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (family === AF_INET6) setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
}

/** Frames leave at once; an idle connection whose peer is gone ends after KEEP_ALIVES seconds and one. */
export function setConnectionOptions(fd: number): void {
  setOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  setOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  setOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, 1);
  setOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1);
  setOption(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEP_ALIVES);
}

/** The error that ended a connect, 0 if it succeeded. */
export function connectError(fd: number): number {
  return readOption(fd, SOL_SOCKET, SO_ERROR, 4) === 4
    ? small.view.getInt32(0, true)
    : errno();
}

export interface TcpInfo {
  /** Segments that the peer has not acknowledged. */
  unacknowledged: number;
  /** Probes of a full receiver that were not answered. */
  probes: number;
  /** Milliseconds since the peer acknowledged anything. */
  lastAcknowledgedMs: number;
  roundTripUs: number;
}

/** struct tcp_info, linux/tcp.h: what the kernel knows of the peer. False if it cannot be had. */
export function readTcpInfo(fd: number, into: TcpInfo): boolean {
  if (readOption(fd, IPPROTO_TCP, TCP_INFO, 104) < 72) return false;
  into.probes = small.view.getUint8(3);
  into.unacknowledged = small.view.getUint32(24, true);
  into.lastAcknowledgedMs = small.view.getUint32(56, true);
  into.roundTripUs = small.view.getUint32(68, true);
  return true;
}

/** Reads an option into `small`: its length, 0 if it failed. */
function readOption(
  fd: number,
  level: number,
  name: number,
  length: number,
): number {
  smallLength.view.setUint32(0, length, true);
  const { address } = small;
  return libc().getsockopt(fd, level, name, address, smallLength.address) === 0
    ? smallLength.view.getUint32(0, true)
    : 0;
}

/** The port that a listening socket got. */
export function localPort(fd: number): number {
  smallLength.view.setUint32(0, small.bytes.length, true);
  if (libc().getsockname(fd, small.address, smallLength.address) !== 0)
    throw new ShoalError("INTERNAL", "a listening socket has no address");
  return small.view.getUint16(2, false);
}
