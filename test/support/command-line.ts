/**
 * What the command line accepts, tested in this process. Nothing is started, because `--help` ends each run after the options were read.
 */
import { main } from "../../src/cli/main.ts";

export interface Answer {
  code: number;
  stdout: string;
  stderr: string;
}

/** `shoal ARGS --help`: values and variables are parsed, then the help is printed. Unknown options are not refused: see `optionsOf`. */
export async function helpFor(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const { exitCode, env: environment } = process;
  const out = capture(process.stdout);
  const err = capture(process.stderr);
  process.env = { PATH: environment.PATH, HOME: environment.HOME, ...env };
  process.exitCode = 0;
  try {
    await main([process.execPath, "shoal", ...args, "--help"]);
    return { code: process.exitCode, stdout: out(), stderr: err() };
  } finally {
    process.exitCode = exitCode;
    process.env = environment;
    out();
    err();
  }
}

/** Keeps what is written as text; the test runner's own reports, which are bytes, pass. Calling the result ends it. */
function capture(stream: NodeJS.WriteStream): () => string {
  const write = stream.write.bind(stream);
  const listeners = new Set(stream.listeners("error"));
  let text = "";
  stream.write = (chunk: string | Uint8Array, ...rest: unknown[]) => {
    if (typeof chunk !== "string")
      return (write as (...all: unknown[]) => boolean)(chunk, ...rest);
    text += chunk;
    return true;
  };
  return () => {
    stream.write = write;
    for (const added of stream.listeners("error"))
      if (!listeners.has(added))
        stream.off("error", added as (error: Error) => void);
    return text;
  };
}

const helps = new Map<string, Promise<Answer>>();
function help(command: string): Promise<Answer> {
  const known = helps.get(command) ?? helpFor(command === "" ? [] : [command]);
  helps.set(command, known);
  return known;
}

/** The flags and variables of a command, as its help lists them. */
export async function optionsOf(command: string): Promise<Set<string>> {
  const { stdout } = await help(command);
  return new Set(stdout.match(/--[a-z][a-z-]*|SHOAL_[A-Z_]+/g));
}

export async function commandNames(): Promise<string[]> {
  const { stdout } = await help("");
  return [...stdout.matchAll(/^ {2}([a-z]+) /gm)].map(([, name = ""]) => name);
}

/** Why the program would refuse these arguments, or undefined. */
export async function refusalOf(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string | undefined> {
  const [command = ""] = args;
  if (!(await commandNames()).includes(command))
    return `no command ${JSON.stringify(command)}`;
  const known = await optionsOf(command);
  const named = [...args, ...Object.keys(env)].flatMap(
    (word) => /^(--[^=]+|SHOAL_.+)/.exec(word)?.[0] ?? [],
  );
  const unknown = named.filter((name) => !known.has(name.split("=")[0] ?? ""));
  if (unknown.length > 0) return `unknown: ${unknown.join(", ")}`;
  const { code, stderr } = await helpFor(args, env);
  return code === 0 ? undefined : stderr;
}
