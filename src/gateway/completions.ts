/** POST /v1/chat/completions and POST /v1/completions: from a request's body to its answer, streamed or whole. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { ShoalError } from "../lib/index.ts";
import { EventStream } from "./event-stream.ts";
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
} from "./shapes.ts";

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
    const model = readyModel(settings.backend, order.model);
    const parts = await replies.begin(model, order, exchange);
    exchange.note({ promptTokens: parts.promptTokens, stream: order.stream });
    const head = {
      requestId: exchange.id,
      model: model.id,
      manifestId: model.manifestId,
      createdS: Math.floor(settings.clock.now() / 1000),
    };
    const shape = kind.shape(head, order.includeUsage);
    try {
      if (!order.stream) return await whole(parts, shape);
      // An error before the first token still gets its own status.
      const first = await parts.generated.next();
      const stream = new EventStream(reply, {
        signal: exchange.signal,
        writeTimeoutMs: settings.writeTimeoutMs,
      });
      exchange.probe = () => stream.probe();
      await streamed(first, parts, shape, stream, order, exchange);
      return undefined;
    } finally {
      exchange.note({ completionTokens: parts.completionTokens });
      await parts.generated.return();
    }
  }
}

async function whole(parts: Reply, shape: AnswerShape): Promise<object> {
  let text = "";
  for await (const part of parts.generated) {
    text += part.text;
    parts.completionTokens = part.completionTokens;
    if (part.finish === undefined) continue;
    const usage = usageOf(parts.promptTokens, part.completionTokens);
    return shape.whole(text, part.finish, usage);
  }
  throw new ShoalError("INTERNAL", "a generation ended without its finish");
}

/** Once the stream is open, an error can only be reported inside it. */
async function streamed(
  first: IteratorResult<TextPart, void>,
  parts: Reply,
  shape: AnswerShape,
  stream: EventStream,
  order: Order,
  exchange: Exchange,
): Promise<void> {
  try {
    const opening = shape.opening();
    if (opening !== undefined) await stream.send(opening);
    for (
      let part = first;
      part.done !== true;
      part = await parts.generated.next()
    ) {
      const { text, completionTokens, finish } = part.value;
      parts.completionTokens = completionTokens;
      if (text !== "") await stream.send(shape.text(text));
      if (finish !== undefined) await stream.send(shape.closing(finish));
    }
    if (order.includeUsage) {
      const usage = usageOf(parts.promptTokens, parts.completionTokens);
      await stream.send(shape.usage(usage));
    }
    await stream.done();
  } catch (thrown) {
    const error = ShoalError.from(thrown);
    exchange.fail(error);
    stream.fail(httpError(error, exchange.id).body);
  }
}
