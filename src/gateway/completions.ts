/** POST /v1/chat/completions and POST /v1/completions: from a request's body to its answer, streamed or whole. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Arrival } from "../inference/index.ts";
import { ShoalError } from "../lib/index.ts";
import { AnswerStream } from "./answer-stream.ts";
import type { EventStream } from "./event-stream.ts";
import type { Exchange, Exchanges } from "./exchange.ts";
import type { TextPart } from "./generation.ts";
import { httpError } from "./http-error.ts";
import { readyModel } from "./models.ts";
import type { GatewaySettings } from "./options.ts";
import { type Begun, type Reply, Replies } from "./replies.ts";
import { parseChat, parseCompletion, type Order } from "./request.ts";
import {
  chatShape,
  completionShape,
  usageOf,
  type AnswerShape,
  type Choice,
  type Usage,
} from "./shapes.ts";
import { serverTiming, timesOf } from "./timing.ts";

interface Kind {
  parse(body: unknown): Order;
  shape: typeof chatShape;
}

export function completionRoutes(
  app: FastifyInstance,
  settings: GatewaySettings,
  exchanges: Exchanges,
): void {
  const replies = new Replies(settings);
  const route = (url: string, kind: Kind): void => {
    app.post(url, (request, reply) =>
      exchanges.run(request, reply, (exchange) =>
        answer(kind, exchange, request, reply),
      ),
    );
  };
  route("/v1/chat/completions", { parse: parseChat, shape: chatShape });
  route("/v1/completions", { parse: parseCompletion, shape: completionShape });

  async function answer(
    kind: Kind,
    exchange: Exchange,
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<object | undefined> {
    const order = kind.parse(request.body);
    if (!order.stream) {
      return await work(kind, order, exchange, {}, async (begun, shape) => {
        const choices = await Promise.all(begun.replies.map(whole));
        tellTiming(begun, reply);
        return shape.whole(choices, usageSoFar(begun));
      });
    }
    const { includeProgress } = order;
    const options = { ...settings, includeProgress };
    const stream = new AnswerStream(reply, exchange, options);
    const onWaiting = (what?: string): void => stream.waiting(what);
    try {
      await work(kind, order, exchange, { onWaiting }, async (begun, shape) => {
        const all = begun.replies.map((reply) => ({
          reply,
          first: reply.generated.next(),
        }));
        for (const { first } of all) first.catch(() => {});
        await Promise.race(all.map(({ first }) => first));
        if (stream.events === undefined) tellTiming(begun, reply);
        const events = stream.open();
        await Promise.all(
          all.map(async ({ reply, first }, index) =>
            streamed(await first, reply, index, shape, events),
          ),
        );
        if (order.includeUsage)
          await events.send(shape.usage(usageSoFar(begun)));
        await events.done();
      });
    } catch (thrown) {
      // Once the stream is open, an error can only be reported inside it.
      if (stream.events === undefined) throw thrown;
      const error = ShoalError.from(thrown);
      exchange.fail(error);
      stream.events.fail(httpError(error, exchange.id).body);
    } finally {
      stream.end();
    }
    return undefined;
  }

  /** Waits for the model, and works with the replies that begin. */
  async function work<T>(
    kind: Kind,
    order: Order,
    exchange: Exchange,
    how: Pick<Arrival, "onWaiting">,
    answer: (begun: Begun, shape: AnswerShape) => Promise<T>,
  ): Promise<T> {
    const { id: requestId, arrivedMs } = exchange;
    // One that fails ends the others.
    const ended = new AbortController();
    const signal = AbortSignal.any([exchange.signal, ended.signal]);
    const arrival = { requestId, arrivedMs, signal, ...how };
    exchange.note({ stream: order.stream });
    const model = await readyModel(settings.backend, order.model, arrival);
    const begun = await replies.begin(model, order, arrival);
    exchange.note({ promptTokens: begun.promptTokens });
    const head = {
      requestId,
      model: model.id,
      fingerprint: model.fingerprint,
      createdS: Math.floor(settings.clock.now() / 1000),
    };
    try {
      return await answer(begun, kind.shape(head, order.includeUsage));
    } finally {
      exchange.note({ completionTokens: completionTokens(begun) });
      ended.abort(new ShoalError("ABORTED", "the answer is over"));
      for (const { generated } of begun.replies) await generated.return();
    }
  }
}

/** Where the time of the first choice went. */
function tellTiming({ replies: [first] }: Begun, reply: FastifyReply): void {
  const session = first.session();
  const timing = session && serverTiming(timesOf(session));
  if (timing !== undefined) reply.header("server-timing", timing);
}

const completionTokens = ({ replies }: Begun): number =>
  replies.reduce((sum, reply) => sum + reply.completionTokens, 0);

function usageSoFar(begun: Begun): Usage {
  const sessions = begun.replies.flatMap((reply) => reply.session() ?? []);
  return usageOf(begun.promptTokens, completionTokens(begun), sessions);
}

async function whole(reply: Reply): Promise<Choice> {
  let text = "";
  for await (const part of reply.generated) {
    text += part.text;
    reply.completionTokens = part.completionTokens;
    if (part.finish !== undefined) return { text, finish: part.finish };
  }
  throw unfinished();
}

async function streamed(
  first: IteratorResult<TextPart, void>,
  reply: Reply,
  index: number,
  shape: AnswerShape,
  stream: EventStream,
): Promise<void> {
  const opening = shape.opening(index);
  if (opening !== undefined) await stream.send(opening);
  let isFinished = false;
  for (
    let part = first;
    part.done !== true;
    part = await reply.generated.next()
  ) {
    const { text, completionTokens, finish } = part.value;
    reply.completionTokens = completionTokens;
    if (text !== "") await stream.send(shape.text(index, text));
    if (finish === undefined) continue;
    await stream.send(shape.closing(index, finish));
    isFinished = true;
  }
  if (!isFinished) throw unfinished();
}

function unfinished(): ShoalError {
  return new ShoalError("INTERNAL", "a generation ended without its finish");
}
