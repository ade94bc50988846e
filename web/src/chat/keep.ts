/**
 * Conversations in this browser's storage, one key each. Nothing of them goes anywhere but to the gateway that is asked. What another
 * version of the page wrote, or a hand changed, is left alone.
 */
import type { Conversation } from "./conversation.ts";

const PREFIX = "shoal-conversation-";
/** A list that a person still finds something in. Browsers keep about 5 million characters, which ends it earlier for long ones. */
const MAX_CONVERSATIONS = 200;

/** The newest first. */
export function keptConversations(): Conversation[] {
  return keys()
    .flatMap((key) => read(key) ?? [])
    .toSorted((a, b) => b.changedMs - a.changedMs);
}

/** Why it could not be kept; undefined: it is. */
export function keep(conversation: Conversation): string | undefined {
  const key = PREFIX + conversation.id;
  try {
    if (
      localStorage.getItem(key) === null &&
      keys().length >= MAX_CONVERSATIONS
    )
      return `This browser keeps ${MAX_CONVERSATIONS} conversations, and this one is not among them. Delete one to make room.`;
    localStorage.setItem(key, JSON.stringify(conversation));
    return undefined;
  } catch (error) {
    return error instanceof DOMException && error.name === "QuotaExceededError"
      ? "This browser's storage is full: what is new in this conversation is lost when the page is closed. Delete a conversation to make room."
      : "This browser keeps nothing for this page: conversations are lost when it is closed.";
  }
}

export function forget(id: string): void {
  try {
    localStorage.removeItem(PREFIX + id);
  } catch {
    // then it was not kept either
  }
}

/** Called after another tab of this page has changed something. */
export function onOtherTab(changed: () => void): () => void {
  const listener = ({ key }: StorageEvent): void => {
    if (key === null || key.startsWith(PREFIX)) changed();
  };
  addEventListener("storage", listener);
  return () => removeEventListener("storage", listener);
}

function keys(): string[] {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
  } catch {
    return []; // storage may be forbidden
  }
}

function read(key: string): Conversation | undefined {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(key) ?? "");
    if (!isLike(value, SAMPLE)) return undefined;
    const conversation = value as Conversation;
    return PREFIX + conversation.id === key ? conversation : undefined;
  } catch {
    return undefined;
  }
}

/** Instead of a value that may be null. */
class OrNull {
  readonly sample: unknown;
  constructor(sample: unknown) {
    this.sample = sample;
  }
}

const number = new OrNull(0);
const SAMPLE = {
  v: 1,
  id: "",
  changedMs: 0,
  settings: { system: "", temperature: number, maxTokens: number, model: "" },
  turns: [
    {
      id: "",
      prompt: "",
      files: [{ name: "", text: "" }],
      reply: {
        text: "",
        reasoning: "",
        calls: [{ name: "", text: "" }],
        end: "",
        error: "",
        facts: new OrNull({
          model: "",
          tokens: 0,
          promptTokens: 0,
          cachedTokens: 0,
          firstMs: number,
          tokensPerSecond: number,
          recoveries: 0,
          stages: [{ peer: "", layers: "", computeMs: number }],
        }),
      },
    },
  ],
} satisfies Like<Conversation>;

/** The samples of a type: `SAMPLE` misses nothing that the type has. */
type Like<T> = T extends string | number
  ? T
  : T extends readonly (infer E)[]
    ? [Like<E>]
    : { [K in keyof T]: null extends T[K] ? OrNull : Like<T[K]> };

function isLike(value: unknown, sample: unknown): boolean {
  if (sample instanceof OrNull)
    return value === null || isLike(value, sample.sample);
  if (typeof sample !== "object" || sample === null)
    return typeof value === typeof sample;
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(sample))
    return Array.isArray(value) && value.every((one) => isLike(one, sample[0]));
  return Object.entries(sample).every(([name, of]) =>
    isLike((value as Record<string, unknown>)[name], of),
  );
}
