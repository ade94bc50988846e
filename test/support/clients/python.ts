/** OpenAI's package for Python, in a virtual environment that is made where Python and PyPI can be had. */
import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { promisify } from "node:util";
import {
  type Client,
  FORM_TOKENS,
  LONG_TOKENS,
  MAX_TOKENS,
  MODEL,
  TOOL,
  TOOL_RESULT,
} from "./client.ts";

const PACKAGE = "openai==3.22.1";
/** Kept for the next run. */
const HOME = resolve(
  import.meta.dirname,
  "../../../node_modules/.cache/python",
  PACKAGE,
);
/** Of each step. Where the network drops packets instead of refusing, the test is skipped after so long. */
const STEP_MS = 180_000;
const SCRIPT = join(import.meta.dirname, "openai_client.py");

const run = promisify(execFile);

/** The path of a Python that has the package, or why there is none. */
export async function pythonWithOpenai(): Promise<
  { path: string; missing?: never } | { path?: never; missing: string }
> {
  const path = join(HOME, "bin/python");
  if (existsSync(path)) return { path };
  try {
    await mkdir(dirname(HOME), { recursive: true });
    const made = await mkdtemp(`${HOME}-`);
    try {
      await run("python3", ["-m", "venv", made], { timeout: STEP_MS });
      const install = ["-m", "pip", "install", "--quiet", "--retries", "0"];
      const python = join(made, "bin/python");
      await run(python, [...install, PACKAGE], { timeout: STEP_MS });
      await rename(made, HOME);
    } finally {
      await rm(made, { recursive: true, force: true });
    }
    return { path };
  } catch (error) {
    const last = String(error).trim().split("\n").at(-1);
    return { missing: `${PACKAGE} cannot be had here: ${last}` };
  }
}

interface Said {
  result?: unknown;
  refused?: { code: string; message: string };
}

class Refusal extends Error {
  readonly code: string;

  constructor({ code, message }: NonNullable<Said["refused"]>) {
    super(message);
    this.code = code;
  }
}

export function openaiPython(
  t: TestContext,
  python: string,
  baseURL: string,
): Client {
  const child = spawn(python, [SCRIPT, baseURL], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  t.after(() => child.kill());
  const lines = createInterface({ input: child.stdout })[
    Symbol.asyncIterator
  ]();
  const ask = async (name: string, ...given: unknown[]): Promise<unknown> => {
    child.stdin.write(`${JSON.stringify([name, given])}\n`);
    const line = await lines.next();
    if (line.done === true) throw new Error("Python has ended");
    const { result, refused } = JSON.parse(line.value) as Said;
    if (refused !== undefined) throw new Refusal(refused);
    return result;
  };
  const asked = (content: string, max_tokens: number): object => ({
    model: MODEL,
    temperature: 0,
    max_tokens,
    messages: [{ role: "user", content }],
  });
  return {
    name: "openai for Python",
    isRefusal: (error) =>
      error instanceof Refusal && error.code === "context_length_exceeded",
    plain: async (prompt) =>
      (await ask("plain", asked(prompt, MAX_TOKENS))) as string,
    streamed: async (prompt) =>
      (await ask("stream", asked(prompt, MAX_TOKENS), false)) as string[],
    tool: async (prompt) =>
      (await ask("tool", asked(prompt, FORM_TOKENS), TOOL, TOOL_RESULT)) as {
        given: unknown;
        answer: string;
      },
    structured: (prompt) => ask("structured", asked(prompt, FORM_TOKENS)),
    leave: async (prompt) => {
      await ask("stream", asked(prompt, LONG_TOKENS), true);
    },
  };
}
