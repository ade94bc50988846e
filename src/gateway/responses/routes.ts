/** OpenAI's Responses: asked, kept, read again (https://platform.openai.com/docs/api-reference/responses). */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { ShoalError } from "../../lib/index.ts";
import { answer, type Answering } from "../answer.ts";
import { NAMED_EVENTS } from "../event-stream.ts";
import type { Exchanges } from "../exchange.ts";
import { openaiErrors } from "../openai/errors.ts";
import type { GatewaySettings } from "../options.ts";
import type { Replies } from "../replies.ts";
import { readyModel } from "../serving.ts";
import { invalid } from "../validate.ts";
import { parseResponse, type ResponseOrder } from "./fields.ts";
import { responseShape } from "./shape.ts";
import { ResponseStore } from "./store.ts";

const URL = "/v1/responses";
/** OpenAI's bounds of a page. */
const MAX_PAGE = 100;
const PAGE = 20;

interface ById {
  Params: { id: string };
  Querystring: { stream?: string };
}
interface Page {
  Params: { id: string };
  Querystring: { limit?: string; order?: string; after?: string };
}

export function responseRoutes(
  app: FastifyInstance,
  settings: GatewaySettings,
  exchanges: Exchanges,
  replies: Replies,
): void {
  const store = new ResponseStore(settings);
  app.addHook("onClose", async () => store.stop());
  const parse = (request: FastifyRequest): ResponseOrder =>
    parseResponse(request.body, settings.parsing, store, ownerOf(request));
  const kind: Answering<ResponseOrder> = {
    shape: (head, order) =>
      responseShape(head, order, (response) => {
        const { items, owner } = order;
        if (order.keeps) store.keep({ items, owner, response });
      }),
    stream: NAMED_EVENTS,
    errors: openaiErrors,
  };
  app.post(URL, (request, reply) =>
    exchanges.run(request, reply, (exchange) => {
      const service = { settings, exchanges, replies };
      return answer(kind, parse(request), exchange, reply, service);
    }),
  );

  app.post(`${URL}/input_tokens`, (request, reply) =>
    exchanges.run(request, reply, async (exchange) => {
      const { id: requestId, arrivedMs, signal } = exchange;
      const order = parse(request);
      const arrival = { requestId, arrivedMs, signal };
      const backend = exchange.caller.sees(settings.backend);
      const model = await readyModel(backend, order.model, arrival);
      const [prompt] = order.prompts;
      const input_tokens = await replies.prompter.count(model, prompt, signal);
      return { object: "response.input_tokens", input_tokens };
    }),
  );
  app.get<ById>(`${URL}/:id`, (request) => {
    const { params, query } = request;
    if (query.stream === "true")
      throw invalid("stream", "is only for a response that is being computed");
    return store.get(params.id, ownerOf(request)).response;
  });
  app.delete<ById>(`${URL}/:id`, (request) => {
    const { id } = request.params;
    store.delete(id, ownerOf(request));
    return { id, object: "response", deleted: true };
  });
  app.get<Page>(`${URL}/:id/input_items`, (request) =>
    pageOf(store.get(request.params.id, ownerOf(request)).items, request),
  );
  app.post<ById>(`${URL}/:id/cancel`, (request) => {
    store.get(request.params.id, ownerOf(request));
    throw new ShoalError(
      "REQUEST_INVALID",
      "only a response in the background can be cancelled, and there are none here: close the connection instead",
    );
  });
}

/** Without keys there is one for all. */
const ownerOf = ({ caller }: FastifyRequest): string => caller.key?.name ?? "";

function pageOf(
  items: readonly { id: string }[],
  {
    query: { limit = String(PAGE), order = "desc", after },
  }: FastifyRequest<Page>,
): object {
  const count = Number(limit);
  if (!(Number.isInteger(count) && count >= 1 && count <= MAX_PAGE))
    throw invalid("limit", `must be a whole number between 1 and ${MAX_PAGE}`);
  if (order !== "asc" && order !== "desc")
    throw invalid("order", 'must be "asc" or "desc"');
  const sorted = order === "asc" ? items : items.toReversed();
  const start = sorted.findIndex(({ id }) => id === after) + 1;
  const data = sorted.slice(start, start + count);
  return {
    object: "list",
    data,
    first_id: data.at(0)?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: start + count < sorted.length,
  };
}
