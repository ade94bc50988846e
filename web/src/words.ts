/** States in words, and the tone that goes with each. */
import type { ClusterStatus, MemberStatus, NodeStatus } from "./types.ts";

export type Tone = "local" | "good" | "warn" | "busy" | "bad" | "none";
type ShardState = ClusterStatus["shards"][number]["state"];

export const SHARD_WORDS: Readonly<Record<ShardState, [string, Tone]>> = {
  local: ["Local", "local"],
  loaded: ["Online, loaded", "good"],
  online: ["Online", "warn"],
  downloading: ["Downloading", "busy"],
  offline: ["Offline", "bad"],
};

export const NODE_TONES: Readonly<Record<MemberStatus["state"], Tone>> = {
  joining: "warn",
  downloading: "busy",
  loading: "warn",
  ready: "good",
  draining: "warn",
  gone: "bad",
};

export const ROLE_WORDS: Readonly<Record<NodeStatus["role"], string>> = {
  rendezvous: "rendezvous",
  node: "shard node",
  gateway: "gateway",
  seeder: "seeder",
};

export const SESSION_TONES = {
  queued: "warn",
  prefill: "busy",
  decode: "busy",
  waiting: "warn",
  done: "good",
  cancelled: "none",
  failed: "bad",
} as const;
