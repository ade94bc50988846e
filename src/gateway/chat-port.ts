/** What the gateway uses of a conversation: its prompt, and a reader of the reply. */
import type { ChatMessage, ChatTemplate, Json } from "../chat/index.ts";

export interface Tool {
  name: string;
  description?: string;
  /** JSON Schema. */
  parameters?: Json;
  strict?: boolean;
}

/** What the content must be. */
export type Hold =
  | { kind: "json" }
  | { kind: "schema"; schema: unknown }
  | { kind: "gbnf"; gbnf: string };

export interface ChatRequest {
  messages: readonly ChatMessage[];
  tools?: readonly Tool[] | undefined;
  toolChoice: "auto" | "none" | "required" | { name: string };
  parallelToolCalls: boolean;
  enableThinking?: boolean | undefined;
  reasoningEffort?: string | undefined;
  documents?: readonly Json[] | undefined;
  variables?: Readonly<Record<string, Json>> | undefined;
  continueLast?: boolean | undefined;
  hold?: Hold | undefined;
}

export type ReplyDelta =
  | { kind: "content"; text: string }
  | { kind: "reasoning"; text: string }
  | { kind: "call"; index: number; id: string; name: string }
  | { kind: "arguments"; index: number; text: string };

export interface ReplyReader {
  push(text: string): ReplyDelta[];
  end(): ReplyDelta[];
}

export interface RenderedChat {
  prompt: string;
  reader(): ReplyReader;
  stop: readonly string[];
  /** Texts of control tokens that the reader must see. */
  preserved: readonly string[];
}

export interface Vocabulary {
  bosText: string;
  eosText: string;
  addsBos: boolean;
}

export function renderChat(
  template: ChatTemplate,
  request: ChatRequest,
  vocabulary: Vocabulary,
): RenderedChat {
  const { messages, documents, enableThinking, variables } = request;
  const prompt = template.render(messages, {
    bosToken: vocabulary.bosText,
    eosToken: vocabulary.eosText,
    tokenizerAddsBos: vocabulary.addsBos,
    documents,
    enableThinking,
    variables,
  });
  return { prompt, reader: contentReader, stop: [], preserved: [] };
}

/** Text as it comes. */
export function contentReader(): ReplyReader {
  return {
    push: (text) => (text === "" ? [] : [{ kind: "content", text }]),
    end: () => [],
  };
}
