/** A response, whole and as events (https://platform.openai.com/docs/api-reference/responses-streaming). */
import type {
  ResponseError,
  ResponseUsage,
} from "openai/resources/responses/responses";
import type { AnswerHead, AnswerShape, Choice, Counts } from "../api.ts";
import { contentLogprobs } from "../choice.ts";
import type { HttpError } from "../http-error.ts";
import type { ErrorBody } from "../openai/errors.ts";
import { toldLogprobs } from "../openai/logprobs.ts";
import type { ResponseOrder } from "./fields.ts";
import { OutputWriter, type WireEvent } from "./output-writer.ts";
import type { WireResponse } from "./store.ts";

/** `finished` gets the response when it is whole, before the client does. */
export function responseShape(
  head: AnswerHead,
  order: ResponseOrder,
  finished: (response: WireResponse) => void,
): AnswerShape {
  const ids = head.requestId.replaceAll("-", "");
  const writer = new OutputWriter(ids);
  const base = baseOf(head, order, ids);
  let sequence = 0;
  let chosen: Choice | undefined;
  const numbered = (events: readonly WireEvent[]): object[] =>
    events.map((event) => ({ ...event, sequence_number: sequence++ }));

  const ended = (choice: Choice | undefined, counts: Counts): WireResponse => {
    const isCut = choice?.finish === "length";
    const response: WireResponse = {
      ...base,
      status: isCut ? "incomplete" : "completed",
      incomplete_details: isCut ? { reason: "max_output_tokens" } : null,
      completed_at: isCut ? null : Math.floor(head.clock.now() / 1000),
      output: writer.output,
      usage: usageOf(counts, choice),
    };
    finished(response);
    return response;
  };
  const opening = (): object[] =>
    numbered([
      { type: "response.created", response: base },
      { type: "response.in_progress", response: base },
    ]);
  return {
    opening,
    part: (_, part) => {
      // All of it with the first text: it cannot be told which token is whose.
      let untold = toldLogprobs(contentLogprobs(part), head.tokenizer);
      return numbered(
        part.deltas.flatMap((delta) => {
          const its = delta.kind === "content" ? untold : [];
          if (delta.kind === "content") untold = [];
          return writer.write(delta, its);
        }),
      );
    },
    closing: (_, choice) => {
      chosen = choice;
      return numbered(close(writer, choice));
    },
    end: (counts) => {
      const response = ended(chosen, counts);
      const type =
        response.status === "completed"
          ? "response.completed"
          : "response.incomplete";
      return numbered([{ type, response }]);
    },
    failed: (error) => [
      ...(sequence === 0 ? opening() : []),
      ...numbered(failure(error, { ...base, output: writer.output })),
    ],
    whole: ([choice], counts) => {
      for (const block of choice?.blocks ?? []) {
        if (block.kind === "call") writer.write({ ...block, index: 0 });
        const text = block.kind === "call" ? block.arguments : block.text;
        const kind = block.kind === "call" ? "arguments" : block.kind;
        const logprobs = "logprobs" in block ? (block.logprobs ?? []) : [];
        writer.write(
          { kind, index: 0, text },
          toldLogprobs(logprobs, head.tokenizer),
        );
      }
      if (choice !== undefined) close(writer, choice);
      return ended(choice, counts);
    },
  };
}

const close = (writer: OutputWriter, { finish }: Choice): WireEvent[] =>
  writer.close(finish === "length" ? "incomplete" : "completed");

/** As it is when it begins. */
function baseOf(
  head: AnswerHead,
  order: ResponseOrder,
  ids: string,
): WireResponse {
  return {
    id: `resp_${ids}`,
    object: "response",
    created_at: head.createdS,
    model: head.model,
    status: "in_progress",
    background: false,
    error: null,
    incomplete_details: null,
    output: [],
    access_programs: null,
    truncation: "disabled",
    ...order.told,
  };
}

function usageOf(
  { promptTokens, completionTokens, sessions: [first] }: Counts,
  choice: Choice | undefined,
): ResponseUsage {
  const cached_tokens = first?.cachedTokens ?? 0;
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens, cache_write_tokens: 0 },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: choice?.reasoningTokens ?? 0 },
    total_tokens: promptTokens + completionTokens,
  };
}

/** Some clients heed the one event, some the other. */
function failure(failed: HttpError, response: WireResponse): WireEvent[] {
  const { error } = failed.body as ErrorBody;
  const { message, code, param } = error;
  // The published type is flat; OpenAI's servers nest what their client reads.
  const told = { type: "error" as const, code, message, param, error };
  return [
    {
      type: "response.failed",
      response: {
        ...response,
        status: "failed",
        error: { code: codeOf(failed.status), message },
      },
    },
    told,
  ];
}

function codeOf(status: number): ResponseError["code"] {
  if (status === 429) return "rate_limit_exceeded";
  return status < 500 ? "invalid_prompt" : "server_error";
}
