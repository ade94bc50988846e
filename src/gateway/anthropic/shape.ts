/** A message of Anthropic's API, whole and as events (https://platform.claude.com/docs/en/build-with-claude/streaming). */
import type {
  ContentBlock,
  Message,
  MessageDeltaUsage,
  RawMessageStreamEvent,
  StopReason,
} from "@anthropic-ai/sdk/resources";
import type {
  AnswerHead,
  AnswerShape,
  Choice,
  Counts,
  ReplyBlock,
} from "../api.ts";
import type { MessageOrder } from "./fields.ts";
import { BlockWriter } from "./block-writer.ts";

export function messageShape(
  head: AnswerHead,
  order: MessageOrder,
): AnswerShape {
  const writer = new BlockWriter(order);
  let chosen: Choice | undefined;
  return {
    opening: (_, counts): (RawMessageStreamEvent | { type: "ping" })[] => [
      {
        type: "message_start",
        message: messageOf(head, [], undefined, order, counts),
      },
      { type: "ping" },
    ],
    part: (_, { deltas }) => deltas.flatMap((delta) => writer.write(delta)),
    closing: (_, choice) => {
      chosen = choice;
      return writer.close();
    },
    end: (counts): RawMessageStreamEvent[] => {
      const { stop_reason, stop_sequence, ...message } = messageOf(
        head,
        [],
        chosen,
        order,
        counts,
      );
      const { stop_details, container } = message;
      const delta = { stop_reason, stop_sequence, stop_details, container };
      const usage = usageOf(counts, chosen);
      return [
        { type: "message_delta", delta, usage },
        { type: "message_stop" },
      ];
    },
    whole: ([choice], counts) => {
      const content = (choice?.blocks ?? []).map((block) =>
        contentBlock(block, order),
      );
      return messageOf(head, content, choice, order, counts);
    },
  };
}

function messageOf(
  head: AnswerHead,
  content: ContentBlock[],
  choice: Choice | undefined,
  order: MessageOrder,
  counts: Counts,
): Message {
  const stopReason = choice === undefined ? null : stopReasonOf(choice, order);
  return {
    id: `msg_${head.requestId.replaceAll("-", "")}`,
    type: "message",
    role: "assistant",
    model: head.model,
    content,
    stop_reason: stopReason,
    stop_sequence:
      stopReason === "stop_sequence" ? (choice?.stoppedBy ?? null) : null,
    stop_details: null,
    container: null,
    diagnostics: null,
    usage: {
      ...usageOf(counts, choice),
      input_tokens: counts.promptTokens - cachedTokens(counts),
      cache_creation: null,
      inference_geo: null,
      service_tier: null,
      speed: null,
    },
  };
}

function stopReasonOf(
  { finish, stoppedBy, completionTokens }: Choice,
  { stop, maxTokens }: MessageOrder,
): StopReason {
  if (finish === "tool_calls") return "tool_use";
  if (finish === "length")
    return maxTokens !== undefined && completionTokens >= maxTokens
      ? "max_tokens"
      : "model_context_window_exceeded";
  // The model's format may have stops of its own.
  return stoppedBy !== undefined && stop.includes(stoppedBy)
    ? "stop_sequence"
    : "end_turn";
}

const cachedTokens = ({ sessions: [first] }: Counts): number =>
  first?.cachedTokens ?? 0;

/** All input is what was computed and what was resumed from a kept session. */
function usageOf(
  counts: Counts,
  choice: Choice | undefined,
): MessageDeltaUsage {
  return {
    input_tokens: counts.promptTokens - cachedTokens(counts),
    cache_read_input_tokens: cachedTokens(counts),
    cache_creation_input_tokens: 0,
    output_tokens: counts.completionTokens,
    output_tokens_details:
      choice === undefined ? null : { thinking_tokens: choice.reasoningTokens },
    server_tool_use: null,
  };
}

function contentBlock(
  block: ReplyBlock,
  { showsThinking }: MessageOrder,
): ContentBlock {
  switch (block.kind) {
    case "content":
      return { type: "text", text: block.text, citations: null };
    case "reasoning":
      return {
        type: "thinking",
        thinking: showsThinking ? block.text : "",
        signature: "",
      };
    case "call":
  }
  const { id, name } = block;
  const input = inputOf(block.arguments);
  return { type: "tool_use", id, name, input, caller: { type: "direct" } };
}

/** Arguments that the model did not finish are no JSON; `stop_reason` says so. */
function inputOf(given: string): unknown {
  try {
    return JSON.parse(given);
  } catch {
    return {};
  }
}
