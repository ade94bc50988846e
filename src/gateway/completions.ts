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
import { type Reply, Replies } from "./replies.ts";
import { parseChat, parseCompletion, type Order } from "./request.ts";
import {
  chatShape,
  completionShape,
  usageOf,
  type AnswerShape,
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
      return await begun(kind, order, exchange, {}, async (parts, shape) => {
        const answer = await whole(parts, shape);
        tellTiming(parts, reply);
        return answer;
      });
    }
    const { includeProgress } = order;
    const options = { ...settings, includeProgress };
    const stream = new AnswerStream(reply, exchange, options);
    const onWaiting = (what?: string): void => stream.waiting(what);
    try {
      await begun(
        kind,
        order,
        exchange,
        { onWaiting },
        async (parts, shape) => {
          const first = await parts.generated.next();
          if (stream.events === undefined) tellTiming(parts, reply);
          await streamed(first, parts, shape, stream.open(), order);
        },
      );
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

  /** Waits for the model, and works with the reply that begins. */
  async function begun<T>(
    kind: Kind,
    order: Order,
    exchange: Exchange,
    how: Pick<Arrival, "onWaiting">,
    work: (parts: Reply, shape: AnswerShape) => Promise<T>,
  ): Promise<T> {
    const { id: requestId, arrivedMs, signal } = exchange;
    const arrival = { requestId, arrivedMs, signal, ...how };
    exchange.note({ stream: order.stream });
    const model = await readyModel(settings.backend, order.model, arrival);
    const parts = await replies.begin(model, order, arrival);
    exchange.note({ promptTokens: parts.promptTokens });
    const head = {
      requestId,
      model: model.id,
      fingerprint: model.fingerprint,
      createdS: Math.floor(settings.clock.now() / 1000),
    };
    try {
      return await work(parts, kind.shape(head, order.includeUsage));
    } finally {
      exchange.note({ completionTokens: parts.completionTokens });
      await parts.generated.return();
    }
  }
}

function tellTiming(parts: Reply, reply: FastifyReply): void {
  const session = parts.session();
  const timing = session && serverTiming(timesOf(session));
  if (timing !== undefined) reply.header("server-timing", timing);
}

function usageSoFar(parts: Reply): Usage {
  const { promptTokens, completionTokens } = parts;
  return usageOf(promptTokens, completionTokens, parts.session());
}

async function whole(parts: Reply, shape: AnswerShape): Promise<object> {
  let text = "";
  for await (const part of parts.generated) {
    text += part.text;
    parts.completionTokens = part.completionTokens;
    if (part.finish === undefined) continue;
    return shape.whole(text, part.finish, usageSoFar(parts));
  }
  throw unfinished();
}

async function streamed(
  first: IteratorResult<TextPart, void>,
  parts: Reply,
  shape: AnswerShape,
  stream: EventStream,
  order: Order,
): Promise<void> {
  const opening = shape.opening();
  if (opening !== undefined) await stream.send(opening);
  let isFinished = false;
  for (
    let part = first;
    part.done !== true;
    part = await parts.generated.next()
  ) {
    const { text, completionTokens, finish } = part.value;
    parts.completionTokens = completionTokens;
    if (text !== "") await stream.send(shape.text(text));
    if (finish === undefined) continue;
    await stream.send(shape.closing(finish));
    isFinished = true;
  }
  if (!isFinished) throw unfinished();
  if (order.includeUsage) await stream.send(shape.usage(usageSoFar(parts)));
  await stream.done();
}

function unfinished(): ShoalError {
  return new ShoalError("INTERNAL", "a generation ended without its finish");
}
