/** What a stage answers where a gateway opens a session: what it refuses it names, so that the gateway finds another way or tells why. */
import type { StageInfo } from "../engine/index.ts";
import {
  computeModeOf,
  flagsOf,
  sameComputeMode,
  ShoalError,
} from "../lib/index.ts";
import {
  type FrameHead,
  FrameType,
  type PipelineFrame,
} from "../ring/index.ts";
import type { Link } from "./links.ts";
import type { OpenBody } from "./open.ts";
import type { Held } from "./stage-session.ts";

/** What is loaded there. Throws STAGE_FAILED, DRAINING, STAGE_LOST or CONTEXT_EXCEEDED. */
export function checkOpen(
  held: Held,
  open: OpenBody,
  stage: number,
  name: string,
): StageInfo {
  const { info, silent } = held.engine;
  if (info === undefined || silent) {
    const what = info === undefined ? "is restarting" : "waits for";
    throw new ShoalError("STAGE_FAILED", `${name} ${what} its engine`, {
      stage,
    });
  }
  if (held.draining)
    throw new ShoalError(
      "DRAINING",
      `${name} is draining and accepts no new session`,
      { stage },
    );
  const [ours, theirs] = [computeModeOf(held.mode ?? {}), computeModeOf(open)];
  if (!sameComputeMode(ours, theirs))
    throw new ShoalError(
      "STAGE_LOST",
      `${name} computes with ${flagsOf(ours)}, the session with ${flagsOf(theirs)}`,
      { stage },
    );
  const { promptTokens, maxTokens } = open;
  const { contextLength } = info;
  if (promptTokens + maxTokens > contextLength)
    throw new ShoalError(
      "CONTEXT_EXCEEDED",
      `${promptTokens} prompt tokens and ${maxTokens} to generate exceed the context of ${contextLength} tokens`,
      { promptTokens, maxTokens, contextLength },
    );
  return info;
}

/** A sequence, with keys and values for so many tokens. Throws BUSY. */
export function takeRoom(
  held: Held,
  tokens: number,
  stage: number,
  name: string,
): number {
  const { sessions } = held.engine;
  if (held.freeSequences.length === 0)
    throw new ShoalError(
      "BUSY",
      `${name} has all its ${sessions} sessions in use`,
      { stage, sessions },
    );
  if (!held.kv.reserve(tokens)) {
    const { freeTokens } = held.kv;
    throw new ShoalError(
      "BUSY",
      `${name} has room for ${freeTokens} more tokens; the session may need ${tokens}`,
      { stage, tokens, freeTokens },
    );
  }
  // The lowest: neighbouring sequences can share a decode.
  return held.freeSequences.shift() ?? 0;
}

/** When the session has ended, once. */
export function giveBack(held: Held, sequence: number, tokens: number): void {
  held.kv.release(tokens);
  held.freeSequences.push(sequence);
  held.freeSequences.sort((a, b) => a - b);
}

/** Tells the gateway why its session was not opened. */
export function refuse(
  frame: PipelineFrame,
  gateway: Link,
  error: ShoalError,
): void {
  const { stage, session } = frame;
  const head: FrameHead = {
    type: FrameType.Error,
    flags: 0,
    stage,
    position: 0,
    count: 0,
    elapsedUs: 0,
    session,
  };
  gateway.send(head, Buffer.from(JSON.stringify(error.toObject())));
}
