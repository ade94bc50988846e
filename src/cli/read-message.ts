/**
 * A message of one line or several: between `"""` and `"""`, with a backslash at the end of a line that goes on, or pasted. A pasted text is
 * taken as it is.
 */

/** Where lines come from (TerminalLines). */
export interface Lines {
  /** Undefined at the end. */
  read(prompt: string): Promise<string | undefined>;
  /** The lines that came in the same instant as the last one. */
  pending(): string[];
  /** A line was begun, and not ended. */
  readonly isBegun: boolean;
}

const QUOTES = '"""';
const PROMPT = "> ";
const MORE = "... ";

/** Undefined at the end. */
export async function readMessage(lines: Lines): Promise<string | undefined> {
  const first = await lines.read(PROMPT);
  if (first === undefined || first.startsWith("/")) return first;
  if (first.trimStart().startsWith(QUOTES)) return await quoted(first, lines);
  const pasted = lines.pending();
  if (pasted.length > 0 || lines.isBegun)
    return await pastedText([first, ...pasted], lines);
  return await continued(first, lines);
}

async function quoted(
  first: string,
  lines: Lines,
): Promise<string | undefined> {
  let text = first.trimStart().slice(QUOTES.length);
  while (!text.trimEnd().endsWith(QUOTES)) {
    const next = await lines.read(MORE);
    if (next === undefined) return undefined;
    text += `\n${next}`;
  }
  return text
    .trimEnd()
    .slice(0, -QUOTES.length)
    .replace(/^\n|\n$/g, "");
}

async function pastedText(
  all: string[],
  lines: Lines,
): Promise<string | undefined> {
  while (lines.isBegun) {
    const next = await lines.read(MORE);
    if (next === undefined) return undefined;
    all.push(next, ...lines.pending());
  }
  return all.join("\n");
}

async function continued(
  first: string,
  lines: Lines,
): Promise<string | undefined> {
  let text = first;
  while (text.endsWith("\\")) {
    const next = await lines.read(MORE);
    if (next === undefined) return undefined;
    text = `${text.slice(0, -1)}\n${next}`;
  }
  return text;
}
