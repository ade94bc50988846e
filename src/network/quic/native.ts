/**
 * The native QUIC binding (quinn and rustls behind napi), with types, and where to find it. It is a prebuilt optional package; on a
 * platform without one a node uses only TCP. Source: https://github.com/ChainSafe/js-libp2p-quic/blob/main/rust/lib.rs (2.1.1)
 */
import { createRequire } from "node:module";
import { ShoalError } from "../../lib/index.ts";

export interface NativeConfig {
  /** The node's key as libp2p's protobuf. */
  privateKeyProto: Uint8Array;
  /** Ignored by the binding (`handshake_timeout: _`): the transport times handshakes itself. */
  handshakeTimeout: number;
  maxIdleTimeout: number;
  keepAliveInterval: number;
  maxConcurrentStreamLimit: number;
  maxStreamData: number;
  maxConnectionData: number;
  receiveBufferSize: number;
  sendBufferSize: number;
}

declare const config: unique symbol;
/** An opaque, parsed configuration. */
export interface NativeQuinnConfig {
  readonly [config]: never;
}

/** A bidirectional stream. Reads hold one lock and writes another until they settle, so only one of each runs at a time. */
export interface NativeStream {
  id(): string;
  /** Up to `maxBytes`, null at the end; rejects when the stream is reset or the connection lost. */
  read(maxBytes: number): Promise<Uint8Array | null>;
  /** Resolves once the bytes are in the connection's send buffer. `data` must not change before that. */
  write(data: Uint8Array): Promise<void>;
  finishWrite(): Promise<void>;
  resetWrite(): Promise<void>;
  stopRead(): Promise<void>;
}

export interface NativeConnection {
  inboundStream(): Promise<NativeStream>;
  outboundStream(): Promise<NativeStream>;
  /** Closes at once; unsent bytes are dropped. */
  abort(): void;
  closed(): Promise<void>;
  /** Whole milliseconds. */
  rtt(): number;
  /** With the /p2p/ id that the handshake proved. */
  remoteMultiaddr(): string;
}

export interface NativeServer {
  port(): number;
  /** Awaits a connection's whole handshake. */
  inboundConnection(): Promise<NativeConnection>;
  abort(): Promise<void>;
}

export interface NativeClient {
  outboundConnection(ip: string, port: number): Promise<NativeConnection>;
  abort(): void;
}

export interface NativeQuic {
  QuinnConfig: new (config: NativeConfig) => NativeQuinnConfig;
  /** Family: 0 is IPv4, 1 is IPv6. */
  Client: new (config: NativeQuinnConfig, family: 0 | 1) => NativeClient;
  Server: new (
    config: NativeQuinnConfig,
    ip: string,
    port: number,
  ) => NativeServer;
}

/** The binding for this platform, or why there is none. */
export function loadNativeQuic():
  | { native: NativeQuic; reason?: undefined }
  | { native?: undefined; reason: string } {
  const name = quicPackage(process.platform, process.arch, libcHere);
  try {
    const native = createRequire(import.meta.url)(name) as NativeQuic;
    return { native };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    return {
      reason:
        code === "MODULE_NOT_FOUND"
          ? `${name} is not installed`
          : `${name} does not load: ${ShoalError.from(error).message}`,
    };
  }
}

/** Not every platform has one. */
export function quicPackage(
  platform: string,
  arch: string,
  libc: () => "glibc" | "musl",
): string {
  const suffix =
    platform === "linux"
      ? { glibc: "-gnu", musl: "-musl" }[libc()]
      : platform === "win32"
        ? "-msvc"
        : "";
  return `@chainsafe/libp2p-quic-${platform}-${arch}${suffix}`;
}

/** Of this Linux. */
function libcHere(): "glibc" | "musl" {
  const report = process.report.getReport() as {
    header?: { glibcVersionRuntime?: string };
  };
  return report.header?.glibcVersionRuntime === undefined ? "musl" : "glibc";
}
