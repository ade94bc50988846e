/** Tokens' probabilities in OpenAI's two forms. */
import type { AnswerHead, TokenLogprobs } from "../api.ts";

type Tokenizer = AnswerHead["tokenizer"];

/** Each token with its bytes, because it may be part of a character. */
export function toldLogprobs(
  tokens: readonly TokenLogprobs[],
  tokenizer: Tokenizer,
): (Told & { top_logprobs: Told[] })[] {
  const told = ({
    token,
    logprob,
  }: Pick<TokenLogprobs, "token" | "logprob">): Told => {
    const bytes = tokenizer.piece(token, true);
    return { token: textOf(bytes), logprob, bytes: [...bytes] };
  };
  return tokens.map((one) => ({
    ...told(one),
    top_logprobs: one.top.map(told),
  }));
}

interface Told {
  token: string;
  logprob: number;
  bytes: number[];
}

/** A chat's. */
export function chatLogprobs(
  tokens: readonly TokenLogprobs[] | undefined,
  tokenizer: Tokenizer,
): object | null {
  if (tokens === undefined) return null;
  return { content: toldLogprobs(tokens, tokenizer), refusal: null };
}

/** A continued text's: lists side by side. `offset` is that of the first token, in characters of the whole text. */
export function textLogprobs(
  tokens: readonly TokenLogprobs[] | undefined,
  tokenizer: Tokenizer,
  offset: number,
): object | null {
  if (tokens === undefined) return null;
  const text = (token: number): string => textOf(tokenizer.piece(token, true));
  let at = offset;
  return {
    tokens: tokens.map(({ token }) => text(token)),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(({ top }) =>
      Object.fromEntries(top.map((one) => [text(one.token), one.logprob])),
    ),
    text_offset: tokens.map(({ token }) => {
      const its = at;
      at += text(token).length;
      return its;
    }),
  };
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
