/** The conversations of this page, and what one can do with them. A reply goes on while another conversation is shown. */
import { askGateway, GatewayError, type ReplyPart } from "../gateway.ts";
import { createStore } from "../store.ts";
import {
  type Conversation,
  type Turn,
  factsOf,
  messagesOf,
  newId,
  NO_REPLY,
  NO_SETTINGS,
  type Reply,
  type Settings,
  type TextFile,
} from "./conversation.ts";
import { forget, keep, keptConversations, onOtherTab } from "./keep.ts";

/** Parts are shown together: more often nobody sees. */
const SHOW_MS = 50;
/** A running reply is kept at least so often. */
const KEEP_MS = 2_000;
const KEY = "shoal-api-key";

export interface Talk {
  /** The newest first. */
  conversations: readonly Conversation[];
  /** The one that is shown; undefined: a new one. */
  shown: string | undefined;
  /** Of a new one. */
  settings: Settings;
  /** By the conversation's id: replies that run, and what they wait for. */
  running: Readonly<Record<string, { waitingFor: string | undefined }>>;
  /** The gateway wants a key, or another one. */
  needsKey: boolean;
  /** Why a conversation is not kept. */
  notKept: string;
}

const kept = keptConversations();
export const talk = createStore<Talk>({
  conversations: kept,
  shown: kept[0]?.id,
  settings: NO_SETTINGS,
  running: {},
  needsKey: false,
  notKept: "",
});
const controllers = new Map<string, AbortController>();

onOtherTab(() => {
  const { conversations, running } = talk.get();
  const here = conversations.filter(({ id }) => running[id] !== undefined);
  const others = keptConversations().filter(({ id }) => !running[id]);
  tell({ conversations: inOrder([...here, ...others]) });
});

function tell(change: Partial<Talk>): void {
  talk.set({ ...talk.get(), ...change });
}

export function shownConversation(now: Talk): Conversation | undefined {
  return now.conversations.find(({ id }) => id === now.shown);
}

/** The conversation with this id; undefined: a new one. */
export function show(id: string | undefined): void {
  tell({ shown: id });
}

export function remove(id: string): void {
  controllers.get(id)?.abort();
  forget(id);
  const { conversations, shown } = talk.get();
  tell({
    conversations: conversations.filter((one) => one.id !== id),
    shown: shown === id ? undefined : shown,
    notKept: "",
  });
}

export function set(change: Partial<Settings>): void {
  const now = talk.get();
  const conversation = shownConversation(now);
  if (conversation === undefined) {
    tell({ settings: { ...now.settings, ...change } });
    return;
  }
  const settings = { ...conversation.settings, ...change };
  put({ ...conversation, settings });
}

/** The key for the gateway: kept until the tab is closed. */
export function apiKey(): string {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

export function setApiKey(key: string): void {
  try {
    sessionStorage.setItem(KEY, key);
  } catch {
    // storage may be forbidden: then it is asked for with each message
  }
}

/** Asks in the shown conversation, or begins one. */
export function send(api: string, prompt: string, files: TextFile[]): void {
  const now = talk.get();
  const last = shownConversation(now);
  const conversation = last ?? {
    v: 1,
    id: newId(),
    changedMs: 0,
    settings: now.settings,
    turns: [],
  };
  if (last === undefined)
    tell({ shown: conversation.id, settings: NO_SETTINGS });
  ask(api, conversation, conversation.turns, { prompt, files });
}

/** Asks the same again, or with another prompt; what followed is gone. */
export function again(api: string, turnId: string, prompt?: string): void {
  const conversation = shownConversation(talk.get());
  const at = conversation?.turns.findIndex(({ id }) => id === turnId);
  const turn = conversation?.turns[at ?? -1];
  if (conversation === undefined || turn === undefined) return;
  const before = conversation.turns.slice(0, at);
  ask(api, conversation, before, {
    ...turn,
    ...(prompt !== undefined && { prompt }),
  });
}

export function stop(id: string): void {
  controllers.get(id)?.abort();
}

function ask(
  api: string,
  conversation: Conversation,
  before: readonly Turn[],
  { prompt, files }: Pick<Turn, "prompt" | "files">,
): void {
  if (controllers.has(conversation.id)) return;
  const turn = { id: newId(), prompt, files, reply: NO_REPLY };
  const turns = [...before, turn];
  const asked = { ...conversation, turns, changedMs: Date.now() };
  put(asked);
  void run(api, asked);
}

async function run(api: string, asked: Conversation): Promise<void> {
  const { id, settings } = asked;
  const controller = new AbortController();
  controllers.set(id, controller);
  wait(id, undefined);
  const coming = new ComingReply(id);
  try {
    const { signal } = controller;
    const parts = askGateway({
      api,
      key: apiKey(),
      model: settings.model,
      messages: messagesOf(asked),
      temperature: settings.temperature ?? undefined,
      maxTokens: settings.maxTokens ?? undefined,
      signal,
    });
    for await (const part of parts)
      if (part.kind === "waiting") wait(id, part.what);
      else coming.add(part);
    tell({ needsKey: false });
    coming.end({});
  } catch (error) {
    if (error instanceof GatewayError && error.status === 401)
      tell({ needsKey: true });
    const message = error instanceof Error ? error.message : String(error);
    coming.end(
      controller.signal.aborted
        ? { end: "stopped" }
        : { end: "failed", error: message },
    );
  }
  controllers.delete(id);
  const { [id]: _, ...running } = talk.get().running;
  tell({ running });
}

function wait(id: string, waitingFor: string | undefined): void {
  const { running } = talk.get();
  if (running[id] !== undefined && running[id].waitingFor === waitingFor)
    return;
  tell({ running: { ...running, [id]: { waitingFor } } });
}

/** The last reply of a conversation, as it comes: shown and kept now and then, and at its end. */
class ComingReply {
  readonly #id: string;
  readonly #startMs = performance.now();
  #reply: Reply = NO_REPLY;
  #firstMs: number | undefined;
  #lastMs: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #keptMs = performance.now();

  constructor(id: string) {
    this.#id = id;
  }

  add(part: Exclude<ReplyPart, { kind: "waiting" }>): void {
    this.#reply = { ...this.#reply, ...this.#change(part) };
    this.#timer ??= setTimeout(() => this.#show(), SHOW_MS);
  }

  end(change: Partial<Reply>): void {
    this.#reply = { ...this.#reply, ...change };
    this.#keptMs = -Infinity;
    this.#show();
  }

  #change(part: Exclude<ReplyPart, { kind: "waiting" }>): Partial<Reply> {
    const { text, reasoning, calls } = this.#reply;
    if (part.kind === "finish") return { end: part.reason };
    if (part.kind === "usage") {
      const { model, usage } = part;
      return { facts: factsOf(model, usage, this.#firstMs, this.#lastMs) };
    }
    this.#lastMs = performance.now() - this.#startMs;
    this.#firstMs ??= this.#lastMs;
    wait(this.#id, undefined);
    if (part.kind === "content") return { text: text + part.text };
    if (part.kind === "reasoning") return { reasoning: reasoning + part.text };
    if (part.kind !== "call") return part satisfies never;
    const old = calls[part.index] ?? { name: "", text: "" };
    const call = { name: old.name + part.name, text: old.text + part.text };
    return {
      calls: [
        ...calls.slice(0, part.index),
        call,
        ...calls.slice(part.index + 1),
      ],
    };
  }

  #show(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { conversations } = talk.get();
    const conversation = conversations.find(({ id }) => id === this.#id);
    const last = conversation?.turns.at(-1);
    if (conversation === undefined || last === undefined) return; // deleted
    const turns = [
      ...conversation.turns.slice(0, -1),
      { ...last, reply: this.#reply },
    ];
    const isDue = performance.now() - this.#keptMs > KEEP_MS;
    if (isDue) this.#keptMs = performance.now();
    put({ ...conversation, turns }, isDue);
  }
}

/** Shows a conversation as it is now, and keeps it. */
function put(conversation: Conversation, isKept = true): void {
  const { conversations, notKept } = talk.get();
  const others = conversations.filter(({ id }) => id !== conversation.id);
  tell({
    conversations: inOrder([conversation, ...others]),
    notKept: isKept ? (keep(conversation) ?? "") : notKept,
  });
}

function inOrder(conversations: Conversation[]): Conversation[] {
  return conversations.toSorted((a, b) => b.changedMs - a.changedMs);
}
