/**
 * The configuration file: JSON, option names in camel case, at the top for all commands or in an object named after one.
 *
 *     { "cluster": "friends", "bootstrap": "rendezvous.example", "node": { "threads": 4 } }
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { z } from "zod";
import { resolvePaths, ShoalError } from "../lib/index.ts";

/** Gives the command what the file says and neither the command line nor a variable did. */
export function readConfig(command: Command): void {
  const { home, config } = command.opts<{ home?: string; config?: string }>();
  const path = config ?? join(resolvePaths(home).config, "config.json");
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (
      config === undefined &&
      (error as NodeJS.ErrnoException).code === "ENOENT"
    )
      return;
    throw new ShoalError(
      "FILE_UNREADABLE",
      `cannot read the configuration file ${path}`,
      { path },
      error,
    );
  }
  const parsed = z
    .record(z.string(), z.unknown())
    .safeParse(parseJson(text, path));
  if (!parsed.success)
    throw new ShoalError("USAGE", `${path} is not a JSON object`, { path });
  const names = new Set(
    command.parent?.commands.map((sibling) => sibling.name()),
  );
  const own = z
    .record(z.string(), z.unknown())
    .catch({})
    .parse(parsed.data[command.name()]);
  const shared = Object.fromEntries(
    Object.entries(parsed.data).filter(([key]) => !names.has(key)),
  );
  for (const [key, value] of Object.entries({ ...shared, ...own })) {
    const known = command.options.find(
      (candidate) => candidate.attributeName() === key,
    );
    if (known === undefined) {
      if (Object.hasOwn(own, key))
        throw new ShoalError(
          "USAGE",
          `${path}: ${command.name()} has no option ${key}`,
          { path, option: key },
        );
      continue; // another command's
    }
    const source = command.getOptionValueSource(key);
    if (source !== undefined && source !== "default") continue;
    try {
      const asText = Array.isArray(value) ? value.join(",") : String(value);
      command.setOptionValueWithSource(
        key,
        known.parseArg === undefined
          ? value
          : known.parseArg(asText, undefined),
        "config",
      );
    } catch (error) {
      throw new ShoalError(
        "USAGE",
        `${path}: ${key}: ${error instanceof Error ? error.message : String(error)}`,
        { path, option: key },
      );
    }
  }
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ShoalError(
      "USAGE",
      `${path} is not JSON: ${error instanceof Error ? error.message : String(error)}`,
      { path },
    );
  }
}
