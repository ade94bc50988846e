/** Anthropic's API: messages, whole and streamed, and the count of a prompt's tokens (https://platform.claude.com/docs/en/api). */
import type { FastifyInstance } from "fastify";
import type { MessageTokensCount } from "@anthropic-ai/sdk/resources";
import { answerRoute } from "../answer.ts";
import type { Kind } from "../api.ts";
import { NAMED_EVENTS, type StreamForm } from "../event-stream.ts";
import type { Exchanges } from "../exchange.ts";
import type { GatewaySettings } from "../options.ts";
import type { Replies } from "../replies.ts";
import { readyModel } from "../serving.ts";
import { anthropicErrors } from "./errors.ts";
import { type MessageOrder, parseMessage } from "./fields.ts";
import { messageShape } from "./shape.ts";

export const UNDER = "/v1/messages";

/** What keeps a stream alive is an event of its own. */
const MESSAGE_EVENTS: StreamForm = Object.freeze({
  ...NAMED_EVENTS,
  comment: (text: string) =>
    `${text === "" ? "" : `: ${text}\n`}${NAMED_EVENTS.event({ type: "ping" })}`,
});

const MESSAGE: Kind<MessageOrder> = {
  parse: parseMessage,
  shape: messageShape,
  stream: MESSAGE_EVENTS,
  errors: anthropicErrors,
};

export function anthropicRoutes(
  app: FastifyInstance,
  settings: GatewaySettings,
  exchanges: Exchanges,
  replies: Replies,
): void {
  app.addHook("onRequest", async (request, reply) => {
    if (request.routeOptions.url?.startsWith(UNDER) === true)
      reply.header("request-id", request.id);
  });
  answerRoute(app, UNDER, MESSAGE, { settings, exchanges, replies });
  app.post(`${UNDER}/count_tokens`, (request, reply) =>
    exchanges.run(request, reply, async (exchange) => {
      const { id: requestId, arrivedMs, signal } = exchange;
      const order = parseMessage(request.body, settings.parsing);
      const arrival = { requestId, arrivedMs, signal };
      const backend = exchange.caller.sees(settings.backend);
      const model = await readyModel(backend, order.model, arrival);
      const [prompt] = order.prompts;
      const counted: MessageTokensCount = {
        input_tokens: await replies.prompter.count(model, prompt, signal),
      };
      return counted;
    }),
  );
}
