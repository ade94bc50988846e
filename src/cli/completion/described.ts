/** A program as completion scripts need it. */

/** What may follow: nothing, words to choose from, files, folders, or what only the user knows. */
export type Values =
  | { kind: "none" | "files" | "folders" | "any" }
  | { kind: "choices"; choices: readonly string[] };

export interface CompletedOption {
  /** "--home", and "-h" where there is one. */
  long: string;
  short: string | undefined;
  description: string;
  /** As the help names its value: "dir". */
  valueName: string;
  value: Values;
}

export interface CompletedCommand {
  name: string;
  description: string;
  options: readonly CompletedOption[];
  argument: Values;
}

/** In single quotes of a POSIX shell. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
