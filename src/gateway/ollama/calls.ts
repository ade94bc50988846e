/** Calls of tools as Ollama has them: whole, with an object of arguments. */
import type { ReplyDelta } from "../../chat/index.ts";
import type { WholeCall } from "../api.ts";

/** Tells each call once it is whole. */
export class PendingCall {
  #call: (WholeCall & { index: number }) | undefined;

  /** The call that this delta ends. */
  before(delta: ReplyDelta): (WholeCall & { index: number }) | undefined {
    const goesOn =
      delta.kind === "arguments" && delta.index === this.#call?.index;
    return goesOn ? undefined : this.end();
  }

  add(delta: ReplyDelta): void {
    if (delta.kind === "call") {
      const { index, id, name } = delta;
      this.#call = { index, id, name, arguments: "" };
    } else if (delta.kind === "arguments" && this.#call !== undefined) {
      this.#call.arguments += delta.text;
    }
  }

  end(): (WholeCall & { index: number }) | undefined {
    const call = this.#call;
    this.#call = undefined;
    return call;
  }
}

/** undefined: its arguments are no object, because the reply ended within them. */
export function ollamaCall(call: WholeCall, index: number): object | undefined {
  const given = objectOf(call.arguments);
  if (given === undefined) return undefined;
  const { id, name } = call;
  return { id, function: { index, name, arguments: given } };
}

function objectOf(text: string): object | undefined {
  if (text.trim() === "") return {};
  try {
    const value = JSON.parse(text) as unknown;
    const isObject =
      typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? value : undefined;
  } catch {
    return undefined;
  }
}
