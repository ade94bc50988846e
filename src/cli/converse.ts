/**
 * `shoal chat` in a terminal: message by message, each with all turns before it. Ctrl-C stops a reply, and what came of it stays; a second one,
 * or one at an empty prompt, ends. Prompts and notes go to standard error, replies to standard output.
 */
import { writeFile } from "node:fs/promises";
import { isShoalError, ShoalError } from "../lib/index.ts";
import { Conversation } from "./conversation.ts";
import { tell } from "./output.ts";
import { printReply } from "./print-reply.ts";
import { readMessage } from "./read-message.ts";
import {
  type ChatListener,
  type ChatRequest,
  type ChatResult,
  modelOf,
  streamChat,
} from "./stream-chat.ts";
import { TerminalLines } from "./terminal-lines.ts";

export interface ConverseOptions {
  api: string;
  apiKey: string | undefined;
  system: string | undefined;
  /** Goes along with each message. */
  request: Omit<ChatRequest, "messages">;
  ascii: boolean;
}

export async function converse(options: ConverseOptions): Promise<void> {
  const interrupt = new Interrupt();
  const { api, apiKey, request } = options;
  const signal = interrupt.ended;
  const model = request.model ?? (await modelOf(api, { signal, apiKey }));
  tell(
    `${model ?? "no model yet"} at ${api}. /help lists the commands, Ctrl-D ends.`,
  );
  const talk = new Talk(options, interrupt);
  using lines = new TerminalLines(process.stdin, process.stderr);
  signal.addEventListener("abort", () => lines.close(), { once: true });
  for (;;) {
    const message = await readMessage(lines);
    signal.throwIfAborted();
    if (message === undefined) {
      tell("");
      return;
    }
    if (message.startsWith("/")) {
      if ((await command(talk, message)) === "end") return;
    } else if (message.trim() !== "") {
      talk.conversation.ask(message);
      await talk.reply();
    }
  }
}

class Talk {
  readonly conversation: Conversation;
  readonly #options: ConverseOptions;
  readonly #interrupt: Interrupt;

  constructor(options: ConverseOptions, interrupt: Interrupt) {
    this.conversation = new Conversation(options.system);
    this.#options = options;
    this.#interrupt = interrupt;
  }

  /** To the last message. An error is told, and the conversation goes on. */
  async reply(): Promise<void> {
    const { ascii } = this.#options;
    const signal = this.#interrupt.begin();
    try {
      const { finish } = await printReply(
        (listener) => this.#stream(listener, signal),
        { ascii },
      );
      if (finish === "length") tell("(cut off at the limit of tokens)");
    } catch (error) {
      this.#interrupt.ended.throwIfAborted();
      if (!isShoalError(error)) throw error;
      if (!signal.aborted) tell(`shoal: ${error.message} (${error.code})`);
    } finally {
      this.#interrupt.end();
    }
    tell("");
  }

  async #stream(
    listener: ChatListener,
    signal: AbortSignal,
  ): Promise<ChatResult> {
    const { api, apiKey, request } = this.#options;
    const messages = this.conversation.messages();
    return await streamChat(
      api,
      { ...request, messages },
      {
        ...listener,
        onText: (text) => {
          this.conversation.add(text);
          listener.onText(text);
        },
      },
      { signal, apiKey },
    );
  }
}

/** Ctrl-C while a reply comes; and what ends the program. */
class Interrupt {
  readonly #ending = new AbortController();
  #reply: AbortController | undefined;

  constructor() {
    process.on("SIGINT", () => {
      if (this.#reply === undefined || this.#reply.signal.aborted) this.#end();
      else this.#reply.abort(new ShoalError("ABORTED", "stopped"));
    });
    for (const name of ["SIGTERM", "SIGHUP"])
      process.on(name, () => this.#end());
  }

  get ended(): AbortSignal {
    return this.#ending.signal;
  }

  /** A reply begins. */
  begin(): AbortSignal {
    this.#reply = new AbortController();
    return AbortSignal.any([this.#reply.signal, this.ended]);
  }

  end(): void {
    this.#reply = undefined;
  }

  #end(): void {
    if (this.ended.aborted) process.exit(130);
    this.#ending.abort(new ShoalError("ABORTED", "stopped"));
  }
}

interface CommandEntry {
  help: string;
  run(talk: Talk, argument: string): unknown;
}

const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  "/system": {
    help: "/system [TEXT]   sets the system message; without TEXT, shows it",
    run: ({ conversation }, text) => {
      if (text !== "") conversation.system = text;
      tell(conversation.system ?? "(no system message)");
    },
  },
  "/retry": {
    help: "/retry           asks for another reply to the last message",
    run: async (talk) => {
      if (talk.conversation.takeBack()) await talk.reply();
      else tell("(nothing was asked yet)");
    },
  },
  "/clear": {
    help: "/clear           forgets all turns; the system message stays",
    run: ({ conversation }) => {
      conversation.clear();
      tell("(forgotten)");
    },
  },
  "/save": {
    help: "/save FILE       writes the conversation; as JSON if FILE ends in .json",
    run: save,
  },
  "/help": {
    help: "/help            shows this",
    run: help,
  },
  "/exit": {
    help: "/exit            ends, as Ctrl-D does",
    run: () => "end",
  },
};

async function command(talk: Talk, line: string): Promise<unknown> {
  const [, name = "", argument = ""] = /^(\S+)\s*(.*)$/.exec(line) ?? [];
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (entry !== undefined) return await entry.run(talk, argument.trim());
  tell(
    `there is no ${name}; /help lists the commands. A space before the slash sends it.`,
  );
  return undefined;
}

function help(): void {
  tell(
    ...Object.values(COMMANDS).map((entry) => entry.help),
    'Several lines: between """ and """, or with \\ at the end of a line, or pasted.',
    "Ctrl-C stops the reply; at an empty prompt it ends.",
  );
}

async function save({ conversation }: Talk, path: string): Promise<void> {
  if (path === "") {
    tell("name a file: /save FILE");
    return;
  }
  const text = conversation.written(path.endsWith(".json") ? "json" : "text");
  try {
    // One that is there is somebody's.
    await writeFile(path, text, { flag: "wx", mode: 0o600 });
    tell(`saved to ${path}`);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    tell(
      code === "EEXIST"
        ? `${path} exists already`
        : `cannot write ${path}: ${message}`,
    );
  }
}
