/** How models write calls of tools, as data. Readers (`read-calls.ts`) and grammars (`call-grammar.ts`) follow it. */

export interface Marks {
  readonly open: string;
  /** "": nothing closes it. */
  readonly close: string;
}

/** A JSON object with the name and the arguments: `{"name": "f", "arguments": {}}`. */
export interface ObjectBody {
  readonly kind: "object";
  readonly name: string;
  /** The key that the model was taught, then others that it may use. */
  readonly arguments: readonly string[];
  readonly id?: { readonly key: string; readonly isFirst: boolean };
}

/** The name, then the arguments as JSON: `f[ARGS]{}`. */
export interface NamedBody {
  readonly kind: "named";
  readonly beforeName?: string;
  /** A number belongs to the name, `:0`; with what is before it, it is the call's id. */
  readonly isNumbered?: boolean;
  /** Between name and arguments the model may write an id of its own. */
  readonly id?: string;
  readonly afterName: string;
  readonly afterArguments?: string;
}

/** The name, then each argument in marks of its own: `<function=f><parameter=x>1</parameter></function>`. */
export interface TaggedBody {
  readonly kind: "tagged";
  readonly beforeName: string;
  readonly afterName: string;
  readonly key: Marks;
  /** What begins a value. With `says`, what the mark tells of it: a text, or JSON. */
  readonly value: readonly {
    readonly open: string;
    readonly says?: "text" | "json";
  }[];
  readonly valueClose: string;
  /** A line break after the mark before a value, and one before the mark after it, are not its own. */
  readonly isOnLines?: boolean;
  readonly close: string;
}

export type CallBody = ObjectBody | NamedBody | TaggedBody;

export interface CallFormat {
  readonly name: string;
  /** All of them are in a call that the template writes, or else in the template. */
  readonly written: readonly RegExp[];
  /** Around all calls. */
  readonly section?: Marks;
  /** The calls are a JSON list. */
  readonly isList?: boolean;
  /** Around each call. */
  readonly call: Marks;
  /** Without a mark, a call is one only where the content begins. */
  readonly isBare?: boolean;
  /** Models leave the mark out and begin with the one before the name. */
  readonly isOpenOptional?: boolean;
  readonly body: CallBody;
  /** Ids that the template takes: nine letters and digits. */
  readonly hasShortIds?: boolean;
}

/** What begins calls, as the sampler and the reader look for it. */
export function openers(format: CallFormat): string[] {
  const { section, call, body, isOpenOptional = false } = format;
  const marks = [section?.open, call.open];
  if (isOpenOptional && body.kind === "tagged") marks.push(body.beforeName);
  return marks.filter((mark) => mark !== undefined && mark !== "") as string[];
}

/** Every mark of the format: those that are control tokens must reach the reader. */
export function marksOf({ section, call, body }: CallFormat): string[] {
  const marks = [section?.open, section?.close, call.open, call.close];
  if (body.kind === "named") {
    marks.push(body.beforeName, body.id, body.afterName, body.afterArguments);
  } else if (body.kind === "tagged") {
    const values = body.value.map(({ open }) => open);
    marks.push(body.beforeName, body.afterName, body.close);
    marks.push(body.key.open, body.key.close, ...values, body.valueClose);
  }
  const some = marks.flatMap((mark = "") => {
    // A mark may be a control token with words beside it.
    const tokens = mark.match(/<[|｜][^<>]*[|｜]>|｜[^｜<>]+｜/g) ?? [];
    return [mark.trim()].concat(tokens);
  });
  return [...new Set(some)].filter((mark) => mark !== "");
}
