/** What a node's stages tell of themselves. */
export interface StageStats {
  totalSessions: number;
  failedSessions: number;
  /** Tokens computed, prompts' and generated ones. */
  totalTokens: number;
}

/** Of one shard. */
export interface ShardStats {
  sessions: { active: number; max: number };
  /** Of keys and values: what sessions may still reserve, and all of it. */
  kvTokens: { free: number; total: number };
  /** Moving average of single-token decodes; undefined before the first. */
  msPerToken: number | undefined;
}
