/**
 * What a model replies, as deltas: content, thoughts, and calls of tools. A reader makes them of the reply's text as it comes, cut anywhere.
 * It holds back only what may be the beginning of a mark, and loses no character.
 */

export type ReplyDelta =
  | { readonly kind: "content"; readonly text: string }
  | { readonly kind: "reasoning"; readonly text: string }
  /** A call begins. Its arguments follow. */
  | {
      readonly kind: "call";
      /** 0, 1, … within the reply. */
      readonly index: number;
      readonly id: string;
      readonly name: string;
    }
  /** The next part of a call's arguments, which are JSON once joined. */
  | {
      readonly kind: "arguments";
      readonly index: number;
      readonly text: string;
    };

export interface ReplyReader {
  /** What became certain with this text; often nothing. */
  push(text: string): ReplyDelta[];
  /** What was still held back. */
  end(): ReplyDelta[];
}

/** Where a sampler begins to hold a reply to a grammar. */
export type ReplyTrigger =
  | { readonly kind: "word"; readonly text: string }
  /** ECMAScript's, as C++ has it. The grammar begins at its first group. */
  | { readonly kind: "pattern"; readonly regex: string };

export interface ReplyGrammar {
  readonly gbnf: string;
  /** The grammar begins with one of these. Without them, with the reply. */
  readonly triggers?: readonly ReplyTrigger[];
}

/** A reader for text that is no conversation: all of it is content. */
export function contentReader(): ReplyReader {
  return {
    push: (text) => (text === "" ? [] : [{ kind: "content", text }]),
    end: () => [],
  };
}
