/** A conversation as the terminal keeps it: what goes to the gateway with each message, and what `/save` writes. */
import type { Message } from "./stream-chat.ts";

interface Turn {
  message: string;
  /** Undefined or empty until something of it came. */
  reply?: string;
}

export class Conversation {
  system: string | undefined;
  #turns: Turn[] = [];

  constructor(system: string | undefined) {
    this.system = system;
  }

  /** What has no reply has nothing to go on from: it is forgotten. */
  ask(message: string): void {
    this.#turns = this.#turns.filter(({ reply = "" }) => reply !== "");
    this.#turns.push({ message });
  }

  /** Takes the last reply back, to ask for another; false if nothing was asked. */
  takeBack(): boolean {
    const last = this.#turns.at(-1);
    if (last !== undefined) delete last.reply;
    return last !== undefined;
  }

  add(text: string): void {
    const last = this.#turns.at(-1);
    if (last !== undefined) last.reply = (last.reply ?? "") + text;
  }

  clear(): void {
    this.#turns = [];
  }

  messages(): Message[] {
    const { system } = this;
    const turns = this.#turns.flatMap(({ message, reply = "" }): Message[] => [
      { role: "user", content: message },
      ...(reply === "" ? [] : [{ role: "assistant" as const, content: reply }]),
    ]);
    return system === undefined
      ? turns
      : [{ role: "system", content: system }, ...turns];
  }

  /** For people; as JSON, the messages in the API's form. */
  written(as: "text" | "json"): string {
    const messages = this.messages();
    if (as === "json") return `${JSON.stringify({ messages }, undefined, 2)}\n`;
    return messages
      .map(({ role, content }) => `## ${role}\n\n${content.trimEnd()}\n`)
      .join("\n");
  }
}
