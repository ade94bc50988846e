/**
 * Options as every command takes them: by flag, else by SHOAL_* variable, else from the configuration file, else the default.
 * The file is JSON: option names in camel case, at the top for all commands or in an object named after one.
 *
 *     { "cluster": "friends", "bootstrap": "rendezvous.example", "node": { "threads": 4 } }
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { z } from "zod";
import { LEVELS, type Paths, resolvePaths, ShoalError } from "../lib/index.ts";
import { parseListen, parseTarget } from "../network/index.ts";

/** An option with its SHOAL_* variable. `flags` as commander has them: "--api-port <port>". */
export function option(
  flags: string,
  description: string,
  parse?: (text: string) => unknown,
): Option {
  const made = new Option(flags, description);
  made.env(
    `SHOAL_${made.attributeName().replaceAll(/[A-Z]/g, "_$&").toUpperCase()}`,
  );
  if (parse !== undefined) made.argParser(asUsage(parse));
  return made;
}

/** A parser's ShoalError as commander wants it, so that the flag's name stands in the message. */
function asUsage<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      throw new InvalidArgumentError(
        error instanceof Error ? error.message : String(error),
      );
    }
  };
}

export function wholeNumber(
  min: number,
  max: number,
): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^-?\d+$/.test(text.trim()) || value < min || value > max)
      throw new Error(`Expected ${min} to ${max}.`);
    return value;
  };
}

export function decimal(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (
      text.trim() === "" ||
      !Number.isFinite(value) ||
      value < min ||
      value > max
    )
      throw new Error(`Expected ${min} to ${max}.`);
    return value;
  };
}

/** "3/8": shard 3 of 8, numbered from 0; "3" alone: of as many as the cluster's plan has. */
export function shardNumber(text: string): { index: number; count?: number } {
  const match = /^(\d{1,5})(?:\/(\d{1,5}))?$/.exec(text.trim());
  if (match === null) throw new Error('Expected "i/n" or "i", such as 0/4.');
  const index = Number(match[1]);
  if (match[2] === undefined) return { index };
  const count = Number(match[2]);
  if (count < 1 || index >= count)
    throw new Error(
      `There is no shard ${index} of ${count}: they are numbered 0 to ${count - 1}.`,
    );
  return { index, count };
}

/** "8-20": layers 8 to 20, both included. */
export function layers(text: string): { layerStart: number; layerEnd: number } {
  const match = /^(\d{1,5})-(\d{1,5})$/.exec(text.trim());
  const [first, last] = [Number(match?.[1]), Number(match?.[2])];
  if (match === null || last < first)
    throw new Error('Expected "first-last", such as 8-20.');
  return { layerStart: first, layerEnd: last + 1 };
}

/** "10GB", "512MiB", "1000000": bytes. */
export function bytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?$/i.exec(text.trim());
  if (match === null) throw new Error('Expected a size, such as "10GB".');
  const power = "kmgt".indexOf((match[2] ?? "").toLowerCase()) + 1;
  const unit = match[2] === "" ? 1 : (match[3] === "" ? 1000 : 1024) ** power;
  return Math.round(Number(match[1]) * unit);
}

/** The same, for what nothing would come of at 0. */
export function someBytes(text: string): number {
  const value = bytes(text);
  if (value === 0) throw new Error("Expected more than 0.");
  return value;
}

/** An HTTP(S) URL; an address without a scheme is one of http. */
export function url(text: string): URL {
  const parsed = URL.parse(text.includes("://") ? text : `http://${text}`);
  if (parsed === null || !/^https?:$/.test(parsed.protocol))
    throw new Error("Expected a URL such as http://127.0.0.1:51822.");
  if (parsed.username !== "" || parsed.password !== "")
    throw new Error("Expected a URL without a user name or password.");
  return parsed;
}

/** Several of them, comma-separated. */
export function urls(text: string): string[] {
  return text.split(",").map((part) => url(part).href);
}

export const port = wholeNumber(0, 65_535);

/** Comma-separated, so that a variable can hold several. */
export function targets(text: string): string[] {
  const given = text.split(",").filter((part) => part.trim() !== "");
  for (const target of given) parseTarget(target);
  return given;
}

export function listens(text: string): string[] {
  return text.split(",").flatMap((part) => parseListen(part));
}

/** What every command that runs has: where its things are and how it logs. */
export function withCommon(command: Command): Command {
  return command
    .addOption(
      option(
        "--home <dir>",
        "keep configuration, state and data under this folder (default: the XDG directories)",
      ),
    )
    .addOption(
      option(
        "--config <file>",
        "configuration file (default: config.json in the configuration folder)",
      ),
    )
    .addOption(
      option("--log <format>", "log as text or as JSON lines")
        .choices(["text", "json"])
        .default("text"),
    )
    .addOption(
      option("--log-level <level>", "least level logged")
        .choices([...LEVELS])
        .default("info"),
    )
    .addOption(
      option("--ascii", "print plain ASCII: no signs, no letters beyond it"),
    )
    .hook("preAction", (_, action) => readConfig(action));
}

/** How a member reaches its cluster. */
export function withMembership(command: Command): Command {
  return command
    .addOption(
      option(
        "--bootstrap <addresses>",
        "rendezvous or other members: host, host:port or multiaddr, with /p2p/<id> or without, separated by commas",
        targets,
      ),
    )
    .addOption(option("--cluster <name>", "the cluster's name"))
    .addOption(
      option(
        "--listen <addresses>",
        "IP, IP:port or multiaddrs to listen on by QUIC and TCP",
      )
        .argParser(asUsage(listens))
        .default(listens("0.0.0.0:0"), "any port"),
    )
    .addOption(
      option(
        "--bootstrap-timeout <s>",
        "give up if no bootstrap answers for so long",
        wholeNumber(1, 86_400),
      ).default(30),
    );
}

export interface MembershipFlags {
  bootstrap?: string[];
  cluster?: string;
  listen: string[];
  bootstrapTimeout: number;
}

/** Those of a command's options that are about the cluster. */
export function membershipOf(flags: MembershipFlags): {
  bootstraps: string[];
  cluster: string;
  listen: string[];
  bootstrapTimeoutMs: number;
} {
  return {
    bootstraps: required(flags.bootstrap, "--bootstrap"),
    cluster: required(flags.cluster, "--cluster"),
    listen: flags.listen,
    bootstrapTimeoutMs: flags.bootstrapTimeout * 1000,
  };
}

/** Where a role shows itself over HTTP. */
export function withDiagnostics(
  command: Command,
  defaults: { host: string; port?: number },
): Command {
  return command
    .addOption(
      option(
        "--diagnostics-host <address>",
        "address of the page, the status and the metrics",
      ).default(defaults.host),
    )
    .addOption(
      option(
        "--diagnostics-port <port>",
        'their port; 0 is any free one, "off" is none',
        (text) => (text === "off" ? text : port(text)),
      ).default(
        defaults.port,
        String(defaults.port ?? "the first free one from 51823"),
      ),
    );
}

export function diagnosticsOf(
  command: Command,
): { host: string; port: number | undefined } | undefined {
  const { diagnosticsHost: host, diagnosticsPort } = command.opts<{
    diagnosticsHost: string;
    diagnosticsPort?: number | "off";
  }>();
  return diagnosticsPort === "off"
    ? undefined
    : { host, port: diagnosticsPort };
}

const Common = z.object({
  home: z.string().optional(),
  config: z.string().optional(),
  log: z.enum(["text", "json"]),
  logLevel: z.enum(LEVELS),
  ascii: z.boolean().default(false),
});
export type Common = z.infer<typeof Common> & { paths: Paths };

export function common(command: Command): Common {
  const values = Common.parse(command.opts());
  return { ...values, paths: resolvePaths(values.home) };
}

/** What goes wrong beside an answer, for commands that print one; all of the log for whoever asks for it. */
export function quiet(
  command: Command,
  logLevel: "warn" | "error",
): Pick<Common, "log" | "logLevel" | "ascii"> {
  const options = common(command);
  return command.getOptionValueSource("logLevel") === "default"
    ? { ...options, logLevel }
    : options;
}

/** A value that must be there, whichever way it came. */
export function required<T>(value: T | undefined, flag: string): T {
  if (value !== undefined) return value;
  const variable = `SHOAL_${flag.replace(/^--/, "").replaceAll("-", "_").toUpperCase()}`;
  throw new ShoalError(
    "USAGE",
    `${flag} is needed (or ${variable}, or the configuration file)`,
    { option: flag },
  );
}

function readConfig(command: Command): void {
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
      `can not read the configuration file ${path}`,
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
