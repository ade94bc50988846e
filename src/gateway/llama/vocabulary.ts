/** POST /tokenize, /detokenize and /apply-template: the model's vocabulary and chat template, without a reply. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import type { ServedModel } from "../../inference/index.ts";
import { withDeadline } from "../../lib/index.ts";
import type { Service } from "../answer.ts";
import type { Kind } from "../api.ts";
import { parseChat } from "../openai/chat.ts";
import { TOKENIZE_TIMEOUT_MS } from "../options.ts";
import { anyModel, knownModel } from "../serving.ts";
import { invalid, validate } from "../validate.ts";

export function vocabularyRoutes(
  app: FastifyInstance,
  { settings, replies }: Service,
): void {
  const tokenize = async (request: FastifyRequest): Promise<object> => {
    const fields = validate(tokenizeSchema, request.body);
    const model = modelOf(request, fields.model);
    const tokens = await tokensOf(model, fields);
    if (fields.with_pieces !== true) return { tokens };
    return {
      tokens: tokens.map((id) => ({
        id,
        piece: pieceOf(model.tokenizer.piece(id, true)),
      })),
    };
  };
  app.post("/tokenize", (request) => tokenize(request));

  app.post("/detokenize", (request) => {
    const fields = validate(detokenizeSchema, request.body);
    const { tokenizer } = modelOf(request, fields.model);
    const bytes = fields.tokens.map((token) => {
      if (token >= tokenizer.vocabSize)
        throw invalid("tokens", `has token ${token}, which the model lacks`);
      return tokenizer.piece(token, true);
    });
    return { content: Buffer.concat(bytes).toString() };
  });

  app.post("/apply-template", (request) => {
    const parse: Kind["parse"] = parseChat;
    const order = parse(request.body, settings.parsing);
    const [prompt] = order.prompts;
    const model = modelOf(request, order.model);
    if (prompt.kind !== "chat") throw invalid("messages", "is missing");
    return { prompt: replies.prompter.render(model, prompt.chat).prompt };
  });

  function modelOf(
    { caller }: FastifyRequest,
    name: string | null | undefined,
  ): ServedModel {
    const backend = caller.sees(settings.backend);
    return typeof name === "string"
      ? knownModel(backend, name)
      : anyModel(backend);
  }
}

const text = z.string({ error: "must be a string" });
const flag = z.boolean({ error: "must be true or false" });
const token = z.int({ error: "must be a token's id" }).min(0);

const tokenizeSchema = z.object({
  model: text.nullish(),
  content: z.union([text, z.array(z.union([text, token]))], {
    error: "must be a string, or a list of strings and tokens",
  }),
  add_special: flag.nullish(),
  parse_special: flag.nullish(),
  with_pieces: flag.nullish(),
});

const detokenizeSchema = z.object({
  model: text.nullish(),
  tokens: z.array(token, { error: "must be a list of tokens" }),
});

async function tokensOf(
  { tokenizer }: ServedModel,
  fields: z.infer<typeof tokenizeSchema>,
): Promise<number[]> {
  const parts =
    typeof fields.content === "string" ? [fields.content] : fields.content;
  const parseSpecial = fields.parse_special ?? true;
  const tokens: number[] = [];
  for (const [index, part] of parts.entries()) {
    if (typeof part === "number") tokens.push(part);
    else {
      const addSpecial = index === 0 && fields.add_special === true;
      const more = await withDeadline(
        TOKENIZE_TIMEOUT_MS,
        "the tokenizer",
        () => tokenizer.encode(part, { addSpecial, parseSpecial }),
      );
      for (const one of more) tokens.push(one);
    }
  }
  return tokens;
}

/** A text, or the bytes of what is no whole character. */
function pieceOf(bytes: Uint8Array): string | number[] {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
      bytes,
    );
  } catch {
    return [...bytes];
  }
}
