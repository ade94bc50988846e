/** GET /props, /slots, /metrics and /lora-adapters: what llama-server tells of itself, as far as a gateway knows it. */
import type { FastifyInstance } from "fastify";
import { ShoalError, VERSION } from "../../lib/index.ts";
import type { Service } from "../answer.ts";
import { anyModel } from "../serving.ts";
import type { Running } from "../tally.ts";
import { metricsText } from "./metrics.ts";
import { DEFAULTS, settingsOf } from "./settings.ts";

/** No slot works on a task. */
const NO_TASK = -1;

export function infoRoutes(
  app: FastifyInstance,
  { settings, replies }: Service,
): void {
  const { tally } = replies;

  app.get("/props", ({ caller }) => {
    const backend = caller.sees(settings.backend);
    const model = anyModel(backend);
    const { bosText, eosText } = model.tokenizer;
    return {
      default_generation_settings: {
        ...slot(0, model.contextLength),
        params: settingsOf(DEFAULTS),
      },
      total_slots: backend.maxSessions(),
      model_alias: model.id,
      model_path: model.id,
      modalities: { vision: false, audio: false },
      chat_template: model.chatTemplate ?? "",
      bos_token: bosText,
      eos_token: eosText,
      build_info: `shoal ${VERSION} (${model.fingerprint})`,
      is_sleeping: false,
    };
  });

  app.get<{ Querystring: { fail_on_no_slot?: string } }>(
    "/slots",
    (request) => {
      const backend = request.caller.sees(settings.backend);
      const { contextLength } = anyModel(backend);
      const { running } = tally;
      const total = Math.max(backend.maxSessions(), running.length);
      const isFull = running.length >= total;
      if (isFull && request.query.fail_on_no_slot !== undefined)
        throw new ShoalError("BUSY", "no slot is free");
      return Array.from({ length: total }, (_, id) => {
        const reply = running[id];
        const about = slot(id, contextLength);
        return reply === undefined ? about : { ...about, ...working(reply) };
      });
    },
  );

  app.get("/metrics", (_, reply) => {
    void reply.type("text/plain; version=0.0.4; charset=utf-8");
    return metricsText(tally);
  });

  app.get("/lora-adapters", () => []);
}

function slot(id: number, contextLength: number): object {
  return {
    id,
    id_task: NO_TASK,
    n_ctx: contextLength,
    speculative: false,
    is_processing: false,
  };
}

function working(reply: Running): object {
  const { number, promptTokens, completionTokens, maxTokens } = reply;
  return {
    id_task: number,
    is_processing: true,
    params: settingsOf(reply),
    n_prompt_tokens: promptTokens,
    next_token: [
      {
        has_next_token: true,
        n_remain: maxTokens === undefined ? -1 : maxTokens - completionTokens,
        n_decoded: completionTokens,
      },
    ],
  };
}
