/** A reply's deltas as items, one after the other, and as the events that tell of them in OpenAI's order. */
import type {
  ResponseFunctionToolCallItem,
  ResponseOutputMessage,
  ResponseReasoningItem,
  ResponseStreamEvent,
} from "openai/resources/responses/responses";
import type { ReplyDelta } from "../../chat/index.ts";
import type { toldLogprobs } from "../openai/logprobs.ts";
import { outputText } from "./items.ts";
import type { WireResponse } from "./store.ts";

/** Not numbered yet, and without what the client adds. */
export type WireEvent = Unnumbered<ResponseStreamEvent>;
type Unnumbered<Event> = Event extends { response: object }
  ? Omit<Event, "sequence_number" | "response"> & { response: WireResponse }
  : Omit<Event, "sequence_number">;

export type OutputItem =
  ResponseOutputMessage | ResponseReasoningItem | ResponseFunctionToolCallItem;

/** What an event is about. */
interface Place {
  item_id: string;
  output_index: number;
}

export type WireLogprobs = ReturnType<typeof toldLogprobs>;

export class OutputWriter {
  /** Without the one that is being written. */
  readonly output: OutputItem[] = [];
  #ids: string;
  #open: OutputItem | undefined;
  #text = "";
  #logprobs: WireLogprobs = [];

  /** The beginning of the items' ids, behind their prefix. */
  constructor(ids: string) {
    this.#ids = ids;
  }

  /** `logprobs`: of the tokens of its text, if it is content. */
  write(delta: ReplyDelta, logprobs: WireLogprobs = []): WireEvent[] {
    switch (delta.kind) {
      case "content":
        return [
          ...(this.#open?.type === "message" ? [] : this.#begin(message)),
          ...this.#add(delta.text, logprobs),
        ];
      case "reasoning":
        return [
          ...(this.#open?.type === "reasoning" ? [] : this.#begin(thoughts)),
          ...this.#add(delta.text),
        ];
      case "call":
        return this.#begin((id) => ({
          type: "function_call",
          id: `fc_${id}`,
          status: "in_progress",
          call_id: delta.id,
          name: delta.name,
          arguments: "",
        }));
      case "arguments":
    }
    return this.#add(delta.text);
  }

  /** The item is over: nothing more comes, or nothing more to this one. */
  close(status: "completed" | "incomplete" = "completed"): WireEvent[] {
    const open = this.#open;
    if (open === undefined) return [];
    const { output_index } = this.#place(open);
    const said = { text: this.#text, logprobs: this.#logprobs };
    const item = finished(open, said, status);
    const events = doneEvents(item, said, this.#place(open));
    this.output.push(item);
    this.#open = undefined;
    return [
      ...events,
      { type: "response.output_item.done", output_index, item },
    ];
  }

  #begin(make: (id: string) => OutputItem): WireEvent[] {
    const closed = this.close();
    const item = make(`${this.#ids}${this.output.length}`);
    this.#open = item;
    this.#text = "";
    this.#logprobs = [];
    const place = this.#place(item);
    const { output_index } = place;
    return [
      ...closed,
      { type: "response.output_item.added", output_index, item },
      ...partEvents("response.content_part.added", item, NOTHING, place),
    ];
  }

  #add(text: string, logprobs: WireLogprobs = []): WireEvent[] {
    const open = this.#open;
    if (open === undefined) return [];
    this.#text += text;
    this.#logprobs.push(...logprobs);
    return [deltaEvent(open, { text, logprobs }, this.#place(open))];
  }

  #place({ id }: OutputItem): Place {
    return { item_id: id, output_index: this.output.length };
  }
}

interface Said {
  text: string;
  logprobs: WireLogprobs;
}
const NOTHING: Said = { text: "", logprobs: [] };

const message = (id: string): ResponseOutputMessage => ({
  type: "message",
  id: `msg_${id}`,
  status: "in_progress",
  role: "assistant",
  content: [],
});

const thoughts = (id: string): ResponseReasoningItem => ({
  type: "reasoning",
  id: `rs_${id}`,
  status: "in_progress",
  summary: [],
  content: [],
});

const reasoningText = (text: string) =>
  ({ type: "reasoning_text", text }) as const;

function finished(
  item: OutputItem,
  { text, logprobs }: Said,
  status: "completed" | "incomplete",
): OutputItem {
  switch (item.type) {
    case "message":
      return { ...item, status, content: [outputText(text, logprobs)] };
    case "reasoning":
      return { ...item, status, content: [reasoningText(text)] };
    case "function_call":
  }
  return { ...item, status, arguments: text };
}

function deltaEvent(
  item: OutputItem,
  { text: delta, logprobs }: Said,
  place: Place,
): WireEvent {
  const part = { ...place, content_index: 0, delta };
  switch (item.type) {
    case "message":
      return { type: "response.output_text.delta", ...part, logprobs };
    case "reasoning":
      return { type: "response.reasoning_text.delta", ...part };
    case "function_call":
  }
  return { type: "response.function_call_arguments.delta", ...place, delta };
}

function doneEvents(item: OutputItem, said: Said, place: Place): WireEvent[] {
  const { text, logprobs } = said;
  const part = { ...place, content_index: 0, text };
  const done = partEvents("response.content_part.done", item, said, place);
  switch (item.type) {
    case "message":
      return [
        { type: "response.output_text.done", ...part, logprobs },
        ...done,
      ];
    case "reasoning":
      return [{ type: "response.reasoning_text.done", ...part }, ...done];
    case "function_call":
  }
  const type = "response.function_call_arguments.done";
  return [{ type, ...place, arguments: text }];
}

/** Calls have no parts. */
function partEvents(
  type: "response.content_part.added" | "response.content_part.done",
  item: OutputItem,
  { text, logprobs }: Said,
  place: Place,
): WireEvent[] {
  if (item.type === "function_call") return [];
  const part =
    item.type === "message" ? outputText(text, logprobs) : reasoningText(text);
  return [{ type, ...place, content_index: 0, part }];
}
