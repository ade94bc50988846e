/** The commands with which a running session's keys and values move from a node that drains to the one that takes its place (docs/PROTOCOL.md). */
import { z } from "zod";
import { RouteStage } from "./route.ts";

export const HAND_OVER_DEFAULTS = Object.freeze({
  /** In one answer, before it is compressed. */
  pieceBytes: 1024 * 1024,
  /** Pieces that are under way. */
  piecesAtOnce: 4,
  /** From the offer until the other node has all; less than the 30 s that a node takes to drain. */
  timeoutMs: 25_000,
  /** For one piece. */
  pieceTimeoutMs: 10_000,
  /** TAKE_SESSION is answered by then, and asked again as long as it goes on. Below the time in which a command must be answered. */
  answerMs: 8_000,
  /** Nobody asks any more: it ends. */
  unaskedMs: 20_000,
  /** States that a node fetches at once. */
  atOnce: 8,
});

const peer = z.string().max(128);
/** 16 bytes in hex. */
const id = z.string().regex(/^[0-9a-f]{32}$/);
const bytes = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

/** gateway → a stage of its session that drains: writes what the session has so far, for `to`. */
export const OFFER_SESSION = {
  name: "OFFER_SESSION",
  params: z.object({
    session: id,
    stage: z.number().int().min(0).max(65_535),
    to: peer,
  }),
  result: z.object({
    ticket: id,
    tokens: z.number().int().min(1).max(0x7fffffff),
    bytes,
  }),
} as const;

/** gateway → the node that takes the place: fetches it. `done` false: it goes on, ask again. */
export const TAKE_SESSION = {
  name: "TAKE_SESSION",
  params: z.object({
    manifest: z.string().max(128),
    /** Who gives it, and of which layers. */
    from: RouteStage,
    ticket: id,
  }),
  result: z.object({ done: z.boolean() }),
} as const;
export type TakeParams = z.infer<typeof TAKE_SESSION.params>;

/** The node that takes the place → the one that drains: a piece from `offset` on, compressed with Zstandard, as the attachment. */
export const GET_KEPT = {
  name: "GET_KEPT",
  params: z.object({
    ticket: id,
    of: z.enum(["facts", "state"]),
    offset: bytes,
  }),
  result: z.object({ sizeBytes: bytes }),
} as const;
export type KeptPart = z.infer<typeof GET_KEPT.params>["of"];
