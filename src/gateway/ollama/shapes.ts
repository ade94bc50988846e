/**
 * Ollama's answers, whole and line by line (docs/api.md and api/types.go of ollama/ollama at fb307609). Durations are in nanoseconds. The
 * call of a tool comes whole, with its arguments as an object; one that the reply's end cut comes as the text that it is.
 */
import type { ReplyDelta } from "../../chat/index.ts";
import type {
  AnswerHead,
  AnswerShape,
  Choice,
  Counts,
  Order,
  TokenLogprobs,
  WholeCall,
} from "../api.ts";
import { ollamaCall, PendingCall } from "./calls.ts";
import type { OllamaOrder } from "./fields.ts";

interface Said {
  content: string;
  thinking: string;
  calls: object[];
}

/** Where one kind of answer has what is said. */
type Body = (said: Said) => object;

const asMessage: Body = ({ content, thinking, calls }) => ({
  message: {
    role: "assistant",
    content,
    ...(thinking !== "" && { thinking }),
    ...(calls.length > 0 && { tool_calls: calls }),
  },
});

const asResponse: Body = ({ content, thinking, calls }) => ({
  response: content,
  ...(thinking !== "" && { thinking }),
  ...(calls.length > 0 && { tool_calls: calls }),
});

const nothing = (): Said => ({ content: "", thinking: "", calls: [] });

export const chatShape = (head: AnswerHead, order: Order): AnswerShape =>
  shapeOf(asMessage, head, order);

export const generateShape = (head: AnswerHead, order: Order): AnswerShape =>
  shapeOf(asResponse, head, order);

/** The answer to a request without messages or prompt, which loads the model: here it is. */
export function loadedAnswer(
  kind: "chat" | "generate",
  model: string,
  reason: "load" | "unload",
  nowMs: number,
): object {
  return {
    model,
    created_at: new Date(nowMs).toISOString(),
    ...(kind === "chat" ? asMessage : asResponse)(nothing()),
    done: true,
    done_reason: reason,
  };
}

function shapeOf(body: Body, head: AnswerHead, order: Order): AnswerShape {
  const { clock } = head;
  const model = (order as OllamaOrder).asked ?? head.model;
  const line = (said: Said, rest: object): object => ({
    model,
    created_at: new Date(clock.now()).toISOString(),
    ...body(said),
    ...rest,
  });
  const told = (tokens: readonly TokenLogprobs[] | undefined): object =>
    tokens === undefined ? {} : { logprobs: logprobsOf(tokens, head) };
  const pending = new PendingCall();
  let last: Choice | undefined;
  const ending = (choice: Choice | undefined, counts: Counts): object => ({
    done: true,
    done_reason: choice?.finish === "length" ? "length" : "stop",
    ...metrics(head, counts),
  });
  return {
    opening: () => [],
    part: (_, { deltas, logprobs }) => {
      const said = saidBy(deltas, pending);
      // Also where only a part of a call has come.
      if (isNothing(said) && logprobs === undefined) return [];
      return [line(said, { done: false, ...told(logprobs) })];
    },
    closing: (_, choice) => {
      last = choice;
      const said = nothing();
      tell(pending.end(), said);
      return isNothing(said) ? [] : [line(said, { done: false })];
    },
    end: (counts) => [line(nothing(), ending(last, counts))],
    whole: ([choice], counts) => {
      const said = nothing();
      said.content = choice?.content ?? "";
      said.thinking = choice?.reasoning ?? "";
      for (const [index, call] of (choice?.calls ?? []).entries())
        tell({ ...call, index }, said);
      return line(said, {
        ...ending(choice, counts),
        ...told(choice?.logprobs),
      });
    },
  };
}

/** As Ollama has them: as OpenAI's, without ids. */
function logprobsOf(
  tokens: readonly TokenLogprobs[],
  { tokenizer }: AnswerHead,
): object[] {
  const one = ({
    token,
    logprob,
  }: Pick<TokenLogprobs, "token" | "logprob">): object => {
    const bytes = tokenizer.piece(token, true);
    return { token: Buffer.from(bytes).toString(), logprob, bytes: [...bytes] };
  };
  return tokens.map((its) => ({
    ...one(its),
    ...(its.top.length > 0 && { top_logprobs: its.top.map(one) }),
  }));
}

function saidBy(deltas: readonly ReplyDelta[], pending: PendingCall): Said {
  const said = nothing();
  for (const delta of deltas) {
    tell(pending.before(delta), said);
    pending.add(delta);
    if (delta.kind === "content") said.content += delta.text;
    else if (delta.kind === "reasoning") said.thinking += delta.text;
  }
  return said;
}

function tell(call: (WholeCall & { index: number }) | undefined, said: Said) {
  if (call === undefined) return;
  const whole = ollamaCall(call, call.index);
  if (whole === undefined) said.content += call.arguments;
  else said.calls.push(whole);
}

function isNothing({ content, thinking, calls }: Said): boolean {
  return content === "" && thinking === "" && calls.length === 0;
}

const ns = (ms: number): number => Math.max(0, Math.round(ms * 1e6));

/** The time until the request had a route is told as the time of loading. What the backend does not tell is left out. */
function metrics(head: AnswerHead, counts: Counts): object {
  const totalMs = head.clock.now() - head.arrivedMs;
  const [session] = counts.sessions;
  const { queuedMs = null, timeToFirstTokenMs = null } = session ?? {};
  return {
    total_duration: ns(totalMs),
    ...(queuedMs !== null && { load_duration: ns(queuedMs) }),
    prompt_eval_count: counts.promptTokens,
    ...(timeToFirstTokenMs !== null && {
      prompt_eval_duration: ns(timeToFirstTokenMs - (queuedMs ?? 0)),
    }),
    eval_count: counts.completionTokens,
    ...(timeToFirstTokenMs !== null && {
      eval_duration: ns(totalMs - timeToFirstTokenMs),
    }),
  };
}
