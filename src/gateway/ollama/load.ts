/** Requests without a prompt, with which Ollama loads a model, or with `keep_alive: 0` forgets it. */
import { z } from "zod";
import { validate } from "../validate.ts";

const schema = z.object({
  model: z.string({ error: "must be the name of a model" }).nullish(),
  messages: z.unknown().optional(),
  prompt: z.unknown().optional(),
  suffix: z.unknown().optional(),
  keep_alive: z.unknown().optional(),
});

export interface Load {
  model: string | undefined;
  reason: "load" | "unload";
}

/** undefined: the body has a prompt. */
export function loadOf(
  kind: "chat" | "generate",
  body: unknown,
): Load | undefined {
  const fields = validate(schema, body);
  const { messages, prompt = "", suffix = "" } = fields;
  const isEmpty =
    kind === "chat"
      ? messages === undefined ||
        messages === null ||
        (Array.isArray(messages) && messages.length === 0)
      : (prompt === "" || prompt === null) &&
        (suffix === "" || suffix === null);
  if (!isEmpty) return undefined;
  const { keep_alive: kept } = fields;
  const isZero =
    kept === 0 || (typeof kept === "string" && /^0+(\.0+)?[a-z]*$/.test(kept));
  return {
    model: fields.model ?? undefined,
    reason: isZero ? "unload" : "load",
  };
}
