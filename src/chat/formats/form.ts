import { readerOf } from "../reading.ts";
import type { Reasoning } from "../reasoning.ts";
import type { ReplyReader } from "../reply.ts";
import { marksOf, type CallFormat, type Marks } from "./format.ts";
import { readGeneric } from "./generic.ts";
import {
  HARMONY_MARKS,
  HARMONY_THOUGHTS,
  readHarmony,
  type HarmonyState,
} from "./harmony.ts";
import { readReply } from "./read-reply.ts";
import type { CallScope } from "./scope.ts";

/** Thoughts, content and calls, told apart by marks. */
export interface MarkedForm {
  readonly kind: "marked";
  readonly reasoning?: Reasoning | undefined;
  /** Marks that may be around the content. */
  readonly wrapper?: Marks | undefined;
  /** How calls are written. Without it, there are none. */
  readonly format?: CallFormat | undefined;
}

/** The form that a model's reply has. */
export type ReplyForm =
  | MarkedForm
  | { readonly kind: "harmony"; readonly state: HarmonyState }
  | { readonly kind: "generic"; readonly reasoning?: Reasoning | undefined };

export function formReader(form: ReplyForm, scope: CallScope): ReplyReader {
  return readerOf((reading) => {
    if (form.kind === "marked") return readReply(reading, form, scope);
    if (form.kind === "generic") {
      return readGeneric(reading, form.reasoning, scope);
    }
    return readHarmony(reading, form.state, scope);
  });
}

/** What opens and closes the thoughts that a reply may begin with; without `open` the prompt did. */
export function thoughtMarks(
  form: ReplyForm,
): { readonly open?: string; readonly close: string } | undefined {
  if (form.kind === "harmony") {
    if (form.state === "final") return undefined;
    const { open, close } = HARMONY_THOUGHTS;
    return form.state === "analysis" ? { close } : { open, close };
  }
  if (form.reasoning === undefined) return undefined;
  const { marks, state } = form.reasoning;
  if (state === "closed") return undefined;
  return state === "open" ? { close: marks.close } : marks;
}

/** What the reader must see of a reply, if these are control tokens. */
export function preservedOf(form: ReplyForm): string[] {
  if (form.kind === "harmony") return Object.values(HARMONY_MARKS);
  const marks: string[] = [];
  if (form.reasoning !== undefined) {
    marks.push(form.reasoning.marks.open, form.reasoning.marks.close);
  }
  if (form.kind === "marked") {
    if (form.wrapper !== undefined) {
      marks.push(form.wrapper.open, form.wrapper.close);
    }
    if (form.format !== undefined) marks.push(...marksOf(form.format));
  }
  return [...new Set(marks)];
}
