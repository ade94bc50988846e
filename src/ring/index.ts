/**
 * What travels around the ring of a session's stages: the frames, where a token's time goes, and the data connections between engines. Nodes
 * pass on the frames that cannot go directly.
 *
 * A data connection is a TCP connection between two engines for the frames of all their sessions, encrypted by AES-256-GCM. It needs no event
 * loop: a `Poller` waits for all sockets of an engine, and handlers run inside `wait`. Nothing blocks and nothing allocates per frame.
 *
 *     const poller = new Poller();
 *     const connection = DataConnection.dial({ host, port, id, keys, poller, timeoutMs: 3_000 });
 *     connection.onFrame = (frame) => decode(frame);
 *     for (;;) poller.wait(-1);
 */
export * from "./frames.ts";
export * from "./embedding-body.ts";
export * from "./stage-times.ts";
export * from "./token-body.ts";
export { hasDataSockets } from "./available.ts";
export { ringKeys, type RingKeys } from "./keys.ts";
export { Poller } from "./poller.ts";
export { receive, transmit } from "./sockets.ts";
export { DataConnection, type DialOptions } from "./connection.ts";
export {
  DataListener,
  type KeysOf,
  type OnDataConnection,
} from "./listener.ts";
export type { FrameCodec } from "./gcm.ts";
