/** A conversation as the page keeps it, and what of it the model gets. */
import type { Message, Usage } from "../gateway.ts";

/** What a message may carry besides its text. */
export const FILE_LIMITS = Object.freeze({
  /** More text than most contexts hold. */
  bytes: 256 * 1024,
  count: 8,
  nameChars: 200,
});

export interface TextFile {
  name: string;
  text: string;
}

export interface Call {
  name: string;
  /** JSON, as it came. */
  text: string;
}

/** Where a reply's time went; unknown is null. */
export interface Facts {
  model: string;
  tokens: number;
  promptTokens: number;
  cachedTokens: number;
  /** From the request to the first part, ms. */
  firstMs: number | null;
  tokensPerSecond: number | null;
  recoveries: number;
  stages: { peer: string; layers: string; computeMs: number | null }[];
}

export interface Reply {
  text: string;
  reasoning: string;
  calls: Call[];
  /** Why it ended: the gateway's word, "stopped" by the reader, "failed"; "" while it runs or if the page was closed before. */
  end: string;
  error: string;
  facts: Facts | null;
}

/** What was asked, and what came. */
export interface Turn {
  id: string;
  prompt: string;
  files: TextFile[];
  reply: Reply;
}

export interface Settings {
  system: string;
  temperature: number | null;
  maxTokens: number | null;
  /** "": the first one that the gateway serves. */
  model: string;
}

export interface Conversation {
  v: 1;
  id: string;
  changedMs: number;
  settings: Settings;
  turns: Turn[];
}

export const NO_SETTINGS: Settings = Object.freeze({
  system: "",
  temperature: null,
  maxTokens: null,
  model: "",
});

export const NO_REPLY: Reply = Object.freeze({
  text: "",
  reasoning: "",
  calls: [],
  end: "",
  error: "",
  facts: null,
});

/** An id for this page; crypto.randomUUID needs TLS or loopback, which a gateway in a local network has not. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

const TITLE_CHARS = 60;

export function titleOf({ turns }: Conversation): string {
  const [first] = turns;
  const text = first?.prompt.trim() || first?.files[0]?.name || "New chat";
  const line = text.split("\n", 1)[0] ?? "";
  return line.length > TITLE_CHARS ? `${line.slice(0, TITLE_CHARS)}…` : line;
}

/** The messages up to the last prompt. A turn without a reply has nothing to go on from. */
export function messagesOf({ settings, turns }: Conversation): Message[] {
  const { system } = settings;
  const messages: Message[] =
    system.trim() === "" ? [] : [{ role: "system", content: system }];
  for (const [i, turn] of turns.entries()) {
    const isLast = i === turns.length - 1;
    const { text } = turn.reply;
    if (!isLast && text === "") continue;
    messages.push({ role: "user", content: promptOf(turn) });
    if (!isLast) messages.push({ role: "assistant", content: text });
  }
  return messages;
}

function promptOf({ prompt, files }: Turn): string {
  return [...files.map(fenced), prompt].filter((p) => p !== "").join("\n\n");
}

/** A fence that the text itself does not close. */
function fenced({ name, text }: TextFile): string {
  const ticks = (text.match(/`{3,}/g) ?? []).map((run) => run.length);
  const fence = "`".repeat(Math.max(3, ...ticks.map((length) => length + 1)));
  return `${name}:\n${fence}\n${text.replace(/\n$/, "")}\n${fence}`;
}

/** `firstMs` and `lastMs`: of its parts, from the request on. */
export function factsOf(
  model: string,
  usage: Usage,
  firstMs: number | undefined,
  lastMs: number | undefined,
): Facts {
  const { completion_tokens: tokens, shoal } = usage;
  // Another gateway than Shoal's does not tell it.
  const tookMs = (lastMs ?? 0) - (firstMs ?? 0);
  const seen = tokens > 1 && tookMs > 0 ? ((tokens - 1) * 1000) / tookMs : null;
  return {
    model,
    tokens,
    promptTokens: usage.prompt_tokens,
    cachedTokens: usage.prompt_tokens_details?.cached_tokens ?? 0,
    firstMs: firstMs ?? null,
    tokensPerSecond:
      shoal === undefined ? seen : (shoal.tokens_per_second ?? null),
    recoveries: shoal?.recoveries ?? 0,
    stages: (shoal?.stages ?? []).map((stage) => ({
      peer: stage.peer,
      layers: stage.layers,
      computeMs: stage.compute_ms,
    })),
  };
}
