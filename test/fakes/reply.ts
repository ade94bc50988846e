/** Replies as the gateway has them, before an API gives them its form. */
import * as fc from "fast-check";
import type { ReplyDelta } from "../../src/chat/index.ts";
import type {
  AnswerHead,
  AnswerShape,
  FinishReason,
  ReplyPart,
} from "../../src/gateway/api.ts";
import { Gathered } from "../../src/gateway/choice.ts";
import { systemClock } from "../../src/lib/index.ts";

export const HEAD: AnswerHead = {
  requestId: "0123-4567",
  model: "shoal-demo",
  fingerprint: "f",
  tokenizer: { piece: () => new Uint8Array() },
  createdS: 1,
  contextLength: 100,
  arrivedMs: 0,
  clock: systemClock,
};

export const content = (text: string): ReplyDelta => ({
  kind: "content",
  text,
});
export const thought = (text: string): ReplyDelta => ({
  kind: "reasoning",
  text,
});
export const call = (index: number, name = "look"): ReplyDelta => ({
  kind: "call",
  index,
  id: `call-${index}`,
  name,
});
export const given = (index: number, text: string): ReplyDelta => ({
  kind: "arguments",
  index,
  text,
});

export interface ScriptedReply {
  /** What came with each token. */
  parts: readonly (readonly ReplyDelta[])[];
  finish?: FinishReason;
  stoppedBy?: string;
}

/** What a stream tells of the reply, and the whole answer. Each has a shape of its own. */
export function answersOf(
  shapeOf: () => AnswerShape,
  { parts, finish = "stop", stoppedBy }: ScriptedReply,
): { events: object[]; whole: object } {
  const shape = shapeOf();
  const gathered = new Gathered();
  const counts = { promptTokens: 7, completionTokens: 1, sessions: [] };
  const events = shape.opening(0, counts);
  for (const [at, deltas] of parts.entries()) {
    const part: ReplyPart = {
      deltas,
      completionTokens: at + 1,
      tokens: [],
      ...(at === parts.length - 1 && {
        finish,
        ...(stoppedBy !== undefined && { stoppedBy }),
      }),
    };
    gathered.add(part);
    if (deltas.length > 0) events.push(...shape.part(0, part, () => counts));
  }
  const choice = gathered.choice();
  const ended = { ...counts, completionTokens: parts.length };
  events.push(...shape.closing(0, choice, () => ended), ...shape.end(ended));
  const whole = shapeOf().whole([choice], ended);
  return { events: events as object[], whole };
}

const word = fc.string({ minLength: 1, maxLength: 5, unit: "grapheme" });
const json = fc.json({ maxDepth: 1 }).map((value) => `{"x":${value}}`);
const block = fc.oneof(
  word.map((text) => [content(text)]),
  word.map((text) => [thought(text)]),
  json.map((text) => [
    call(0),
    given(0, text.slice(0, 3)),
    given(0, text.slice(3)),
  ]),
);

/** Thoughts, texts and calls in any order, some of them in one part. `said`: its content. */
export const anyReply: fc.Arbitrary<ScriptedReply & { said: string }> = fc
  .tuple(fc.array(block, { maxLength: 6 }), fc.integer({ min: 1, max: 3 }))
  .map(([blocks, perPart]) => {
    let calls = -1;
    const deltas = blocks.flat().map((delta) => {
      if (delta.kind === "call") return call(++calls);
      return delta.kind === "arguments" ? given(calls, delta.text) : delta;
    });
    const parts: ReplyDelta[][] = [[]];
    for (const delta of deltas) {
      if (parts.at(-1)!.length === perPart) parts.push([]);
      parts.at(-1)!.push(delta);
    }
    const said = deltas
      .map((delta) => (delta.kind === "content" ? delta.text : ""))
      .join("");
    return { parts, said, finish: calls < 0 ? "stop" : "tool_calls" };
  });
