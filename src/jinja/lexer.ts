/**
 * From a template to tokens, by the rules of Jinja2's lexer with `trim_blocks` and `lstrip_blocks`: the first line break after a block
 * goes, and so does the white space between the beginning of a line and a block. A "-" beside a delimiter removes all white space there, a
 * "+" keeps it. A template's last line break goes too.
 */
import { SPACE, stripEnd } from "./characters.ts";
import { JinjaSyntaxError } from "./errors.ts";
import { stringOf } from "./escapes.ts";

export type Token = { line: number } & (
  | { type: "data" | "name" | "string" | "symbol"; value: string }
  | { type: "integer"; value: bigint }
  | { type: "float"; value: number }
  | { type: "print" | "end print" | "block" | "end block" | "end"; value: "" }
);

const S = `[${SPACE}]*`;
const OPENING = new RegExp(
  String.raw`\{%([-+]?)${S}raw${S}(?:-%\}${S}|%\})|\{([{%#])([-+]?)`,
  "g",
);
const RAW_END = new RegExp(
  String.raw`\{%([-+]?)${S}endraw${S}(?:\+%\}|-%\}${S}|%\}\n?)`,
  "g",
);
const COMMENT_END = new RegExp(String.raw`\+#\}|-#\}${S}|#\}\n?`, "g");
const BLOCK_END = new RegExp(String.raw`\+%\}|-%\}${S}|%\}\n?`, "y");
const PRINT_END = new RegExp(String.raw`-\}\}${S}|\}\}`, "y");

const BLANK = new RegExp(`[${SPACE}]+`, "y");
const FLOAT =
  /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy;
const INTEGER =
  /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy;
const NAME = /[\p{L}\p{N}\p{M}_\p{Pc}]+/uy;
const IDENTIFIER = /^[\p{ID_Start}_][\p{ID_Continue}]*$/u;
const STRING = /'(?:[^'\\]*(?:\\.[^'\\]*)*)'|"(?:[^"\\]*(?:\\.[^"\\]*)*)"/sy;
const SYMBOL = /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}<>=.:|,;]/y;

const CLOSERS: ReadonlyMap<string, string> = new Map([
  ["{", "}"],
  ["(", ")"],
  ["[", "]"],
]);
/** Brackets within each other: real templates have under ten. */
const MAX_OPEN_BRACKETS = 200;

export function tokensOf(template: string): Token[] {
  return new Lexer(template).run();
}

class Lexer {
  #text: string;
  #at = 0;
  #line = 1;
  #tokens: Token[] = [];
  /** The text before ended with a line break, or there is none. */
  #isLineStart = true;

  constructor(template: string) {
    this.#text = template.replace(/\r\n?/g, "\n").replace(/\n$/, "");
  }

  run(): Token[] {
    while (this.#at < this.#text.length) this.#data();
    this.#push({ type: "end", value: "", line: this.#line });
    return this.#tokens;
  }

  /** Text up to the next delimiter, and what that begins. */
  #data(): void {
    const match = this.#find(OPENING);
    if (match === undefined) {
      this.#text_(this.#text.slice(this.#at));
      this.#at = this.#text.length;
      return;
    }
    const [whole, rawSign, kind, otherSign] = match;
    const text = this.#text.slice(this.#at, match.index);
    const sign = rawSign ?? otherSign ?? "";
    this.#text_(stripped(text, sign, kind !== "{", this.#isLineStart));
    this.#moveTo(match.index + whole.length);
    if (kind === undefined) this.#raw();
    else if (kind === "#") this.#comment();
    else if (kind === "{") this.#code("print", PRINT_END);
    else this.#code("block", BLOCK_END);
  }

  #text_(value: string): void {
    if (value !== "") this.#push({ type: "data", value, line: this.#line });
  }

  /** As in Jinja2, what begins at the very end of the template needs no end of its own. */
  get #isAtEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  #raw(): void {
    if (this.#isAtEnd) return;
    const end = this.#find(RAW_END);
    if (end === undefined) throw this.#error("a raw block has no end");
    const text = this.#text.slice(this.#at, end.index);
    this.#text_(stripped(text, end[1] ?? "", true, this.#isLineStart));
    this.#moveTo(end.index + end[0].length);
  }

  #comment(): void {
    if (this.#isAtEnd) return;
    const end = this.#find(COMMENT_END);
    if (end === undefined) throw this.#error("a comment has no end");
    this.#moveTo(end.index + end[0].length);
  }

  #code(type: "print" | "block", ending: RegExp): void {
    this.#push({ type, value: "", line: this.#line });
    const open: string[] = [];
    for (;;) {
      if (open.length === 0 && this.#take(ending) !== undefined) {
        this.#push({ type: `end ${type}`, value: "", line: this.#line });
        return;
      }
      if (this.#isAtEnd) {
        throw this.#error("the template ends within a tag");
      }
      this.#token(open);
    }
  }

  #token(open: string[]): void {
    if (this.#take(BLANK) !== undefined) return;
    const line = this.#line;
    const float = this.#take(FLOAT)?.replaceAll("_", "");
    if (float !== undefined) {
      this.#push({ type: "float", value: Number(float), line });
      return;
    }
    const integer = this.#take(INTEGER)?.replaceAll("_", "");
    if (integer !== undefined) {
      this.#push({ type: "integer", value: BigInt(integer), line });
      return;
    }
    const name = this.#take(NAME);
    if (name !== undefined) {
      if (!IDENTIFIER.test(name)) throw this.#error(`"${name}" is no name`);
      this.#push({ type: "name", value: name, line });
      return;
    }
    const string = this.#take(STRING);
    if (string !== undefined) {
      const value = stringOf(string.slice(1, -1));
      if (value === undefined) throw this.#error("a string has a bad escape");
      this.#push({ type: "string", value, line });
      return;
    }
    const symbol = this.#take(SYMBOL);
    if (symbol === undefined) throw this.#error("unexpected character");
    this.#balance(symbol, open);
    this.#push({ type: "symbol", value: symbol, line });
  }

  /** Within brackets, "}}" ends two of them and no print. */
  #balance(symbol: string, open: string[]): void {
    const closer = CLOSERS.get(symbol);
    if (closer !== undefined) {
      if (open.length >= MAX_OPEN_BRACKETS) {
        throw this.#error("too many open brackets");
      }
      open.push(closer);
    } else if ("})]".includes(symbol) && open.pop() !== symbol) {
      throw this.#error(`unexpected "${symbol}"`);
    }
  }

  #find(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    return pattern.exec(this.#text) ?? undefined;
  }

  #take(pattern: RegExp): string | undefined {
    const found = this.#find(pattern)?.[0];
    if (found !== undefined) this.#moveTo(this.#at + found.length);
    return found;
  }

  #moveTo(end: number): void {
    for (let i = this.#at; i < end; i++)
      if (this.#text[i] === "\n") this.#line++;
    this.#isLineStart = this.#text[end - 1] === "\n";
    this.#at = end;
  }

  #push(token: Token): void {
    this.#tokens.push(token);
  }

  #error(what: string): JinjaSyntaxError {
    return new JinjaSyntaxError(what, this.#line);
  }
}

const ONLY_SPACE = new RegExp(`^[${SPACE}]+$`);

/** Text without the white space that the delimiter behind it removes. */
function stripped(
  text: string,
  sign: string,
  isBlock: boolean,
  isLineStart: boolean,
): string {
  if (sign === "-") return stripEnd(text);
  if (sign === "+" || !isBlock) return text;
  const lineStart = text.lastIndexOf("\n") + 1;
  const isIndent =
    (lineStart > 0 || isLineStart) && ONLY_SPACE.test(text.slice(lineStart));
  return isIndent ? text.slice(0, lineStart) : text;
}
