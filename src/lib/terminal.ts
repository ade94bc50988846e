/** Text for a terminal: colours, ASCII, line breaks, and no control characters that could command the terminal. */
import { stripVTControlCharacters, styleText } from "node:util";

/** Colours of the signs before a state. Each sign is one character in ASCII too, so that columns stay aligned. */
const SIGNS = {
  "★": { ascii: "*", style: "cyan" },
  "✓": { ascii: "+", style: "green" },
  "○": { ascii: "o", style: "yellow" },
  "↓": { ascii: "v", style: "yellow" },
  "✗": { ascii: "x", style: "red" },
} as const;

const ASCII: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    Object.entries(SIGNS).map(([sign, { ascii }]) => [sign, ascii]),
  ),
  "…": "...",
  "×": "x",
  "–": "-",
  "—": "-",
  "→": "->",
  "≥": ">=",
  "≤": "<=",
  "·": "*",
  "•": "*",
  "█": "#",
  "░": ".",
  "‘": "'",
  "’": "'",
  "“": '"',
  "”": '"',
};

const SIGN = new RegExp(`[${Object.keys(SIGNS).join("")}]`, "gu");

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Whether to write colours: FORCE_COLOR decides, as in Node itself; else to a terminal that has them, unless there is a NO_COLOR
 * (https://no-color.org).
 */
export function showsColors(
  stream: Pick<NodeJS.WriteStream, "isTTY" | "hasColors">,
  env: Environment = process.env,
): boolean {
  const { FORCE_COLOR: forced, NO_COLOR: none } = env;
  if (forced !== undefined) return forced !== "0" && forced !== "false";
  if (none !== undefined && none !== "") return false;
  return stream.isTTY && stream.hasColors(env);
}

/** Whether lines can be written over: a terminal that moves its cursor. */
export function movesCursor(
  stream: Pick<NodeJS.WriteStream, "isTTY">,
  env: Environment = process.env,
): boolean {
  return stream.isTTY && env.TERM !== "dumb";
}

const COMMANDING = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/gu;

/**
 * Makes control characters visible, as `\x1b` or `\n`, and also those that change the direction of writing. Names and messages of other
 * machines end up in a log and must not command the terminal.
 */
export function printable(text: string): string {
  return text.replaceAll(COMMANDING, (c) => {
    if (c === "\n") return String.raw`\n`;
    if (c === "\t") return String.raw`\t`;
    const code = c.codePointAt(0) ?? 0;
    return code < 256
      ? String.raw`\x${code.toString(16).padStart(2, "0")}`
      : String.raw`\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** The same for a text of several lines, such as a model's reply: line breaks and tabs stay. */
export function printableText(text: string): string {
  return text.replaceAll(/[^\n\t]+/g, (part) => printable(part));
}

/** JSON that a terminal may show: JSON.stringify escapes some of those characters only. None stands outside a string but line breaks. */
export function printableJson(value: object, indent?: number): string {
  return escapedJson(JSON.stringify(value, undefined, indent));
}

/** JSON text with those characters escaped. */
export function escapedJson(text: string): string {
  return text.replaceAll(COMMANDING, (c) =>
    c === "\n"
      ? c
      : String.raw`\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** ASCII only: letters lose their accents, signs become the nearest character, everything else a question mark. */
export function toAscii(text: string): string {
  return text.replaceAll(
    /[^\p{ASCII}]/gu,
    (c) =>
      ASCII[c] ?? (c.normalize("NFKD").replaceAll(/[^\p{ASCII}]/gu, "") || "?"),
  );
}

/** Colours the signs in it. */
export function paintSigns(text: string): string {
  return text.replaceAll(SIGN, (sign) =>
    paint(SIGNS[sign as keyof typeof SIGNS].style, sign),
  );
}

export function paint(
  style: Parameters<typeof styleText>[0],
  text: string,
): string {
  // The caller knows whether there is a terminal: the line may be for another process.
  return styleText(style, text, { validateStream: false });
}

/** The columns it takes, not counting colours. */
export function columnsOf(text: string): number {
  return Array.from(stripVTControlCharacters(text)).length;
}

/**
 * Wraps words into lines of at most `width` columns; lines after the first begin with `indent` spaces. A word longer than a line stays
 * whole, because a broken address cannot be copied.
 */
export function wrapWords(
  words: readonly string[],
  width: number,
  indent: number,
): string[] {
  const lines: string[] = [];
  let line = "";
  let used = 0;
  for (const word of words) {
    const columns = columnsOf(word);
    if (used > 0 && used + 1 + columns > width) {
      lines.push(line);
      line = " ".repeat(indent) + word;
      used = indent + columns;
    } else {
      line += used === 0 ? word : ` ${word}`;
      used += columns + (used === 0 ? 0 : 1);
    }
  }
  lines.push(line);
  return lines;
}
