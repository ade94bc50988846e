/** What a backend tells of a session, for a BackendDouble. */
import type { SessionStatus } from "../../src/inference/index.ts";

/** A route after 2 ms, a first token 5 ms later. */
export function sessionStatus(
  changes: Partial<SessionStatus> = {},
): SessionStatus {
  return {
    id: "id",
    startedMs: 0,
    endedMs: null,
    state: "decode",
    waitingFor: null,
    error: null,
    promptTokens: 5,
    tokens: 1,
    cachedTokens: 0,
    recoveries: 0,
    recomputed: false,
    tokensPerSecond: null,
    queuedMs: 2,
    timeToFirstTokenMs: 7,
    msPerToken: null,
    predictedMsPerToken: null,
    restMs: null,
    route: [],
    ...changes,
  };
}
