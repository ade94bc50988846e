/** A reply's deltas as events of content blocks, one block after the other. */
import type {
  ContentBlock,
  RawContentBlockDelta,
  RawMessageStreamEvent,
} from "@anthropic-ai/sdk/resources";
import type { ReplyDelta } from "../../chat/index.ts";

export class BlockWriter {
  #showsThinking: boolean;
  #index = -1;
  #open: ContentBlock["type"] | undefined;

  constructor({ showsThinking }: { showsThinking: boolean }) {
    this.#showsThinking = showsThinking;
  }

  write(delta: ReplyDelta): RawMessageStreamEvent[] {
    switch (delta.kind) {
      case "content":
        return [
          ...this.#in({ type: "text", text: "", citations: null }),
          this.#delta({ type: "text_delta", text: delta.text }),
        ];
      case "reasoning": {
        const { text } = delta;
        return [
          ...this.#in({ type: "thinking", thinking: "", signature: "" }),
          ...(this.#showsThinking
            ? [this.#delta({ type: "thinking_delta", thinking: text })]
            : []),
        ];
      }
      case "call": {
        const { id, name } = delta;
        const caller = { type: "direct" } as const;
        return this.#begin({ type: "tool_use", id, name, input: {}, caller });
      }
      case "arguments":
    }
    const { text: partial_json } = delta;
    return [this.#delta({ type: "input_json_delta", partial_json })];
  }

  close(): RawMessageStreamEvent[] {
    const open = this.#open;
    if (open === undefined) return [];
    this.#open = undefined;
    // Clients want one before they send thoughts back; here nobody checks it.
    const signed =
      open === "thinking"
        ? [this.#delta({ type: "signature_delta", signature: "" })]
        : [];
    return [...signed, { type: "content_block_stop", index: this.#index }];
  }

  /** Goes on in a block of this kind, or begins one. */
  #in(block: ContentBlock): RawMessageStreamEvent[] {
    return this.#open === block.type ? [] : this.#begin(block);
  }

  #begin(block: ContentBlock): RawMessageStreamEvent[] {
    const closed = this.close();
    this.#open = block.type;
    this.#index++;
    return [
      ...closed,
      { type: "content_block_start", index: this.#index, content_block: block },
    ];
  }

  #delta(delta: RawContentBlockDelta): RawMessageStreamEvent {
    return { type: "content_block_delta", index: this.#index, delta };
  }
}
