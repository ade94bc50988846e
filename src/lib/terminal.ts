/** Text for a terminal: colours, plain ASCII, line breaks, and nothing in it that could command the terminal. */
import { stripVTControlCharacters, styleText } from "node:util";

/** Colours of the signs that stand before a state. In plain ASCII each is one character, so that columns stay columns. */
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

/**
 * Without what a terminal would obey or reorder: control characters become visible, as `\x1b` or `\n`, and so do the signs that turn the
 * direction of writing. Names and messages of other machines end up in a log.
 */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/gu, (c) => {
    if (c === "\n") return String.raw`\n`;
    if (c === "\t") return String.raw`\t`;
    const code = c.codePointAt(0) ?? 0;
    return code < 256
      ? String.raw`\x${code.toString(16).padStart(2, "0")}`
      : String.raw`\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** In ASCII alone: letters without their accents, signs as the nearest there is, anything else as a question mark. */
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
  // The caller knows whether there is a terminal: it may be another process' line.
  return styleText(style, text, { validateStream: false });
}

/** Columns it takes, colours aside. */
export function columnsOf(text: string): number {
  return Array.from(stripVTControlCharacters(text)).length;
}

/**
 * Words in lines of at most `width` columns; lines after the first begin with `indent` spaces. A word that is longer than a line stays
 * whole: an address that is cut can not be copied.
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
