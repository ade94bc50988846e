/** The bounds of data connections, each with its reason. */
import { MAX_FRAME_BYTES } from "./frames.ts";

/** A pipeline frame, and room for what may come to stand before it. Checked before memory is taken. */
export const MAX_DATA_FRAME_BYTES = MAX_FRAME_BYTES + 64 * 1024;
/** What waits for a peer that reads slowly: some of the longest frames. More means that it will not catch up. */
export const MAX_QUEUED_BYTES = 64 * 1024 * 1024;
/** Accepted connections that have not proven their keys: each takes a descriptor and 52 bytes. */
export const MAX_STRANGERS = 32;
/** From accepting to the proof, which takes one way through the network. */
export const PROOF_TIMEOUT_MS = 5_000;
/** Connections accepted at once, before other sockets get their turn. */
export const MAX_ACCEPTS = 16;
/** Data that is not acknowledged for so long: the peer's kernel, its machine or the network is gone. Longer than QUIC's 3 s, so that a node
 * that is lost is reported as that. */
export const SILENT_MS = 4_000;
/** How often the kernel is asked for it, and memory that is no longer used given back. */
export const CHECK_MS = 1_000;
/** Bytes that one read takes at most, unless a longer frame is under way: a decode's frame with room for several more. */
export const READ_BYTES = 64 * 1024;
