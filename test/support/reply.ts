/** A reply as a client of the gateway gets it, piece by piece, and its comparison with that of an undisturbed run. */
import assert from "node:assert/strict";

/** How a text is asked for: fields of /v1/completions. */
export type Ask = Readonly<Record<string, unknown>>;

export interface Choice {
  text: string;
  finish: string;
}

export interface Reply extends Choice {
  /** The other choices, where more than one was asked for. */
  others: Choice[];
  /** Of all choices. */
  tokens: number;
  recoveries: number;
  /** When it was asked for, and when each piece of the first choice came (of a reply that is not streamed one, with all of it): milliseconds since the epoch. */
  startedMs: number;
  cameMs: number[];
  endedMs: number;
  /** Comments that kept the connection alive. */
  comments: number;
}

export interface AskOptions {
  stream: boolean;
  signal: AbortSignal;
  /** Told how many pieces of text have come. */
  onPiece?: (count: number) => void;
  /** Told when the last word about how it ended has come, while the gateway still closes its session. */
  onFinish?: () => void;
}

interface Chunk {
  choices?: { index: number; text: string; finish_reason: string | null }[];
  usage?: {
    completion_tokens: number;
    shoal: { recoveries: number };
  } | null;
  error?: { code: string; message: string };
}

/** Of the demo model: the end of generation is not drawn. */
export const NO_END = { "2": -100 };

/** What the gateway answered in place of a text. */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, { code, message }: NonNullable<Chunk["error"]>) {
    super(`${status}, ${code}: ${message}`);
    this.status = status;
    this.code = code;
  }
}

/** Where to ask, and for which model. */
export interface Api {
  apiUrl: string;
  model: string;
}

/** POST /v1/completions. Throws a Refusal if it ends in an error, and fails if it ends in nothing. */
export async function ask(
  { apiUrl, model }: Api,
  how: Ask,
  options: AskOptions,
): Promise<Reply> {
  const { stream, signal, onPiece, onFinish } = options;
  const startedMs = Date.now();
  const response = await fetch(`${apiUrl}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    signal,
    body: JSON.stringify({
      model,
      ...how,
      stream,
      ...(stream && { stream_options: { include_usage: true } }),
    }),
  });
  const reply: Reply = {
    text: "",
    finish: "",
    others: [],
    tokens: 0,
    recoveries: 0,
    startedMs,
    cameMs: [],
    endedMs: 0,
    comments: 0,
  };
  const take = (json: string): void => {
    const { choices, usage, error } = JSON.parse(json) as Chunk;
    if (error !== undefined) throw new Refusal(response.status, error);
    reply.tokens = usage?.completion_tokens ?? reply.tokens;
    reply.recoveries = usage?.shoal.recoveries ?? reply.recoveries;
    for (const { index, text, finish_reason } of choices ?? []) {
      const choice =
        index === 0
          ? reply
          : (reply.others[index - 1] ??= { text: "", finish: "" });
      choice.text += text;
      if (text !== "" && index === 0) {
        reply.cameMs.push(Date.now());
        onPiece?.(reply.cameMs.length);
      }
      if (finish_reason === null) continue;
      choice.finish = finish_reason;
      onFinish?.();
    }
  };
  if (stream && response.status === 200) {
    let isDone = false;
    for await (const event of eventsOf(response)) {
      if (event.startsWith(":")) reply.comments++;
      else if (event === "data: [DONE]") isDone = true;
      else take(event.slice("data: ".length));
    }
    assert.ok(isDone, `the stream ended without [DONE] after "${reply.text}"`);
  } else take(await response.text());
  reply.endedMs = Date.now();
  return reply;
}

/** A long one of the demo model, sampled and streamed. */
export async function streamReply(
  apiUrl: string,
  how: Ask = {},
): Promise<Reply> {
  return await ask(
    { apiUrl, model: "Shoal demo" },
    {
      prompt: "Once upon a time there was a",
      max_tokens: 400,
      temperature: 1,
      seed: 11,
      logit_bias: NO_END,
      ...how,
    },
    { stream: true, signal: AbortSignal.timeout(150_000) },
  );
}

async function* eventsOf(response: Response): AsyncGenerator<string> {
  let rest = "";
  for await (const part of response.body!.pipeThrough(
    new TextDecoderStream(),
  )) {
    const events = (rest + part).split("\n\n");
    rest = events.pop() ?? "";
    yield* events;
  }
  assert.equal(rest, "");
}

/** The same text, the same end, the same number of tokens. */
export function assertSame(reply: Reply, expected: Reply, what: string): void {
  const texts = ({ text, finish, others, tokens }: Reply): object => ({
    text,
    finish,
    others,
    tokens,
  });
  assert.deepEqual(texts(reply), texts(expected), what);
}
