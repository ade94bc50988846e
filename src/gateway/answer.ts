/** From a request's body to its answer, streamed or whole, in the form of any API. */
import type { FastifyInstance, FastifyReply } from "fastify";
import type { Arrival } from "../inference/index.ts";
import { type EventFields, ShoalError } from "../lib/index.ts";
import { AnswerStream } from "./answer-stream.ts";
import type {
  AnswerShape,
  Choice,
  Counts,
  Kind,
  Order,
  ReplyPart,
} from "./api.ts";
import { Gathered } from "./choice.ts";
import type { EventStream } from "./event-stream.ts";
import type { Exchange, Exchanges } from "./exchange.ts";
import type { GatewaySettings } from "./options.ts";
import type { Begun, Replies, Reply } from "./replies.ts";
import { readyModel } from "./serving.ts";
import { serverTiming, timesOf } from "./timing.ts";

/** What answers of every API need. */
export interface Service {
  settings: GatewaySettings;
  exchanges: Exchanges;
  replies: Replies;
}

export type Answering<Asked extends Order> = Omit<Kind<Asked>, "parse">;

/** POST `url` is answered as `kind` says. */
export function answerRoute<Asked extends Order>(
  app: FastifyInstance,
  url: string,
  kind: Kind<Asked>,
  service: Service,
): void {
  app.post(url, (request, reply) =>
    service.exchanges.run(request, reply, (exchange) => {
      const order = kind.parse(request.body, service.settings.parsing);
      return answer(kind, order, exchange, reply, service);
    }),
  );
}

/** The answer's body; undefined: it was streamed. */
export async function answer<Asked extends Order>(
  kind: Answering<Asked>,
  order: Asked,
  exchange: Exchange,
  reply: FastifyReply,
  service: Service,
): Promise<object | undefined> {
  if (order.stream) {
    await stream(kind, order, exchange, reply, service);
    return undefined;
  }
  return await work(
    kind,
    order,
    exchange,
    reply,
    {},
    service,
    async (begun, shape) => {
      const choices = await pooled(begun.replies, whole);
      tellTiming(begun, reply);
      return shape.whole(choices, countsOf(begun));
    },
  );
}

async function stream<Asked extends Order>(
  kind: Answering<Asked>,
  order: Asked,
  exchange: Exchange,
  response: FastifyReply,
  service: Service,
): Promise<void> {
  const { includeProgress } = order;
  const options = { ...service.settings, includeProgress, form: kind.stream };
  const stream = new AnswerStream(response, exchange, options);
  const how = { onWaiting: (what?: string) => stream.waiting(what) };
  let used: AnswerShape | undefined;
  try {
    await work(
      kind,
      order,
      exchange,
      response,
      how,
      service,
      async (begun, shape) => {
        used = shape;
        stream.openSoon();
        await pooled(begun.replies, async (reply, index) => {
          const first = await reply.generated.next();
          if (stream.events === undefined) tellTiming(begun, response);
          const events = stream.open();
          await events.send(shape.opening(index, countsOf(begun)));
          const counts = (): Counts => countsOf(begun);
          await streamed({ first, reply, index, counts }, shape, events);
        });
        const events = stream.open();
        await events.send(shape.end(countsOf(begun)));
        events.end();
      },
    );
  } catch (thrown) {
    // Once the stream is open, an error can only be reported inside it.
    if (stream.events === undefined) throw thrown;
    const error = ShoalError.from(thrown);
    exchange.fail(error);
    const failure = kind.errors(error, exchange.id);
    stream.events.fail(used?.failed?.(failure) ?? [failure.body]);
  } finally {
    stream.end();
  }
}

/** Waits for the model, and works with the replies that begin. */
async function work<Asked extends Order, T>(
  kind: Answering<Asked>,
  order: Asked,
  exchange: Exchange,
  reply: FastifyReply,
  how: Pick<Arrival, "onWaiting">,
  { settings, replies }: Service,
  answer: (begun: Begun, shape: AnswerShape) => Promise<T>,
): Promise<T> {
  const { id: requestId, arrivedMs } = exchange;
  // One that fails ends the others.
  const ended = new AbortController();
  const signal = AbortSignal.any([exchange.signal, ended.signal]);
  const arrival = { requestId, arrivedMs, signal, ...how };
  exchange.note({ stream: order.stream });
  const { caller } = exchange;
  const backend = caller.sees(settings.backend);
  const name = nameOf(order, settings);
  const model = await readyModel(backend, name, arrival);
  exchange.note({ model: model.id });
  const begun = await replies.begin(model, order, arrival);
  exchange.note({ promptTokens: begun.promptTokens });
  caller.key?.takePrompt(begun.promptTokens);
  if (!reply.raw.headersSent) caller.tell(reply);
  const head = {
    requestId,
    model: model.id,
    fingerprint: model.fingerprint,
    contextLength: model.contextLength,
    arrivedMs,
    clock: settings.clock,
    tokenizer: model.tokenizer,
    createdS: Math.floor(settings.clock.now() / 1000),
  };
  try {
    return await answer(begun, kind.shape(head, order));
  } finally {
    exchange.note(factsOf(begun));
    ended.abort(new ShoalError("ABORTED", "the answer is over"));
    for (const { generated } of begun.replies) await generated.return();
  }
}

/** Of the first choice the times, from the request's arrival on. */
function factsOf(begun: Begun): EventFields {
  const session = begun.replies[0]?.session();
  return {
    completionTokens: completionTokens(begun),
    queuedMs: session?.queuedMs ?? undefined,
    firstTokenMs: session?.timeToFirstTokenMs ?? undefined,
  };
}

/** A gateway of one cluster answers to any name, as others do. */
export function nameOf(
  { model }: Pick<Order, "model">,
  { backend, strict }: GatewaySettings,
): string | undefined {
  const isOne = backend.each()[0] === backend;
  return isOne && !strict ? undefined : model;
}

/** Replies that are computed at once; further ones of the same request wait for these. */
const AT_ONCE = 16;

/** One that fails ends the others. */
export async function pooled<T, R>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const left = items.entries();
  const worker = async (): Promise<void> => {
    for (const [index, item] of left) results[index] = await work(item, index);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return results;
}

/** Where the time of the first choice went. */
function tellTiming({ replies: [first] }: Begun, reply: FastifyReply): void {
  const session = first?.session();
  const timing = session && serverTiming(timesOf(session));
  if (timing !== undefined) reply.header("server-timing", timing);
}

const completionTokens = ({ replies }: Begun): number =>
  replies.reduce((sum, reply) => sum + reply.completionTokens, 0);

function countsOf(begun: Begun): Counts {
  return {
    promptTokens: begun.promptTokens,
    completionTokens: completionTokens(begun),
    sessions: begun.replies.flatMap((reply) => reply.session() ?? []),
  };
}

async function whole(reply: Reply): Promise<Choice> {
  const gathered = new Gathered();
  for await (const part of reply.generated) {
    reply.completionTokens = part.completionTokens;
    gathered.add(part);
    if (part.finish !== undefined) break;
  }
  return gathered.choice();
}

async function streamed(
  one: {
    first: IteratorResult<ReplyPart, void>;
    reply: Reply;
    index: number;
    counts: () => Counts;
  },
  shape: AnswerShape,
  events: EventStream,
): Promise<void> {
  const { reply, index, counts } = one;
  const gathered = new Gathered();
  for (
    let part = one.first;
    part.done !== true;
    part = await reply.generated.next()
  ) {
    const { value } = part;
    reply.completionTokens = value.completionTokens;
    gathered.add(value);
    if (value.deltas.length > 0 || value.logprobs !== undefined)
      await events.send(shape.part(index, value, counts));
  }
  await events.send(shape.closing(index, gathered.choice(), counts));
}
