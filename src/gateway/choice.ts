/** A whole reply from its parts. */
import { ShoalError } from "../lib/index.ts";
import type { Choice, ReplyPart, WholeCall } from "./api.ts";

export class Gathered {
  #content = "";
  #reasoning = "";
  #calls: WholeCall[] = [];
  #last: ReplyPart | undefined;

  add(part: ReplyPart): void {
    this.#last = part;
    for (const delta of part.deltas) {
      if (delta.kind === "content") this.#content += delta.text;
      else if (delta.kind === "reasoning") this.#reasoning += delta.text;
      else if (delta.kind === "call") {
        const { id, name } = delta;
        this.#calls[delta.index] = { id, name, arguments: "" };
      } else {
        const call = this.#calls[delta.index];
        if (call !== undefined) call.arguments += delta.text;
      }
    }
  }

  /** Throws INTERNAL if it did not finish. */
  choice(): Choice {
    const finish = this.#last?.finish;
    if (this.#last === undefined || finish === undefined)
      throw new ShoalError("INTERNAL", "a generation ended without its finish");
    return {
      content: this.#content,
      reasoning: this.#reasoning,
      calls: this.#calls,
      finish,
      stoppedBy: this.#last.stoppedBy,
      completionTokens: this.#last.completionTokens,
    };
  }
}
