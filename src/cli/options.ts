/**
 * Options as every command takes them: by flag, else by SHOAL_* variable, else from the configuration file, else the default. They
 * are listed in groups; those that every command shares come last.
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { z } from "zod";
import { LEVELS, type Paths, resolvePaths, ShoalError } from "../lib/index.ts";
import { readConfig } from "./config-file.ts";
import { bootstrapsOf, type Invitation } from "../network/index.ts";
import {
  invitation,
  listens,
  port,
  someBytes,
  targets,
  wholeNumber,
} from "./values.ts";

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

/** A parser's error as commander wants it, so that the flag's name stands in the message. */
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

/** Of an argument that `localModel` (src/hub) understands. */
export const MODEL_HELP =
  "GGUF file (of a model in several files, any one), hf:owner/repo:Q4_K_M of the model hub, or an https: address; what is not on this machine is fetched";

/** At the end of a command's help. */
export function examples(command: Command, ...lines: string[]): Command {
  const title = lines.length === 1 ? "Example:" : "Examples:";
  return command.addHelpText(
    "after",
    `\n${[title, ...lines.map((line) => `  ${line}`)].join("\n")}`,
  );
}

/** The last group of every command: where its files are and how it logs. */
export function withCommon(command: Command): Command {
  return command
    .optionsGroup("Common options:")
    .addOption(
      option(
        "--home <dir>",
        "folder for configuration, state and data (default: the XDG directories; on Windows the application data)",
      ),
    )
    .addOption(
      option(
        "--config <file>",
        "configuration file (default: config.json in the configuration folder)",
      ),
    )
    .addOption(
      option("--log <format>", "log format")
        .choices(["text", "json"])
        .default("text"),
    )
    .addOption(
      option("--log-level <level>", "minimum log level")
        .choices([...LEVELS])
        .default("info"),
    )
    .addOption(option("--ascii", "ASCII output only"))
    .helpOption("-h, --help", "show this help")
    .hook("preAction", (_, action) => readConfig(action));
}

/** How a member reaches its cluster. */
export function withMembership(
  command: Command,
  whichCluster = "name of the cluster",
): Command {
  return command
    .optionsGroup("Cluster options:")
    .addOption(
      option(
        "--bootstrap <addresses>",
        "rendezvous or other members to join through: host, host:port or multiaddr, with or without /p2p/<id>; separate several with commas (default: members in the local network are found)",
        targets,
      ),
    )
    .addOption(joinOption())
    .addOption(option("--cluster <name>", whichCluster))
    .addOption(
      option(
        "--listen <addresses>",
        "addresses to listen on over QUIC and TCP: IP, IP:port or multiaddr",
        (text) => listens(text),
      ).default(listens("0.0.0.0:0"), "all interfaces, any port"),
    )
    .addOption(
      option(
        "--bootstrap-timeout <s>",
        "seconds to wait for a bootstrap before giving up",
        wholeNumber(1, 86_400),
      ).default(30),
    );
}

/** In place of --bootstrap and --cluster. */
export function joinOption(): Option {
  return option(
    "--join <invitation>",
    "invitation to a cluster, as `shoal invite` prints it: in place of --bootstrap and --cluster",
    invitation,
  );
}

/** Of an invitation, unless a flag says it too; addresses add up. Throws USAGE: two clusters. */
export function invited<
  T extends { join?: Invitation; bootstrap?: string[]; cluster?: string },
>(flags: T): T {
  const { join, bootstrap, cluster } = flags;
  if (join === undefined) return flags;
  if (cluster !== undefined && cluster !== join.cluster)
    throw new ShoalError(
      "USAGE",
      `--join invites to cluster ${join.cluster}, and --cluster says ${cluster}: leave one out`,
      { option: "--join" },
    );
  return {
    ...flags,
    bootstrap: [...(bootstrap ?? []), ...bootstrapsOf(join)],
    cluster: join.cluster,
  };
}

export interface MembershipFlags {
  bootstrap?: string[];
  join?: Invitation;
  cluster?: string;
  listen: string[];
  bootstrapTimeout: number;
}

/** Those of a command's options that are about the cluster. Without a bootstrap it is found in the local network, unless one is needed. */
export function membershipOf(
  given: MembershipFlags,
  { needsBootstrap = false } = {},
): {
  bootstraps: string[];
  cluster: string;
  listen: string[];
  bootstrapTimeoutMs: number;
} {
  const flags = invited(given);
  return {
    bootstraps: needsBootstrap
      ? required(flags.bootstrap, "--bootstrap")
      : (flags.bootstrap ?? []),
    cluster: required(flags.cluster, "--cluster"),
    listen: flags.listen,
    bootstrapTimeoutMs: flags.bootstrapTimeout * 1000,
  };
}

/** Ollama's own port; where Ollama runs, the gateway warns and goes on. */
export function ollamaOption(): Option {
  return option(
    "--ollama [port]",
    "also listen on 127.0.0.1 where Ollama's clients look (default port: 11434)",
    port,
  ).preset("11434");
}

/** Of a process that relays. */
export function relayLimitOption(): Option {
  return option(
    "--relay-limit <rate>",
    "most bytes to relay per second, such as 10MB, divided among those that send (default: 32MiB)",
    someBytes,
  );
}

/** Where a role shows itself over HTTP. */
export function withDiagnostics(
  command: Command,
  defaults: { host: string; port?: number },
): Command {
  return command
    .optionsGroup("Diagnostics options:")
    .addOption(
      option(
        "--diagnostics-host <address>",
        "address of the diagnostics server (page, status, metrics)",
      ).default(defaults.host),
    )
    .addOption(
      option(
        "--diagnostics-port <port>",
        `port of the diagnostics server; 0 picks a free one, "off" turns it off${defaults.port === undefined ? " (default: the first free one from 51823)" : ""}`,
        (text) => (text === "off" ? text : port(text)),
      ).default(defaults.port),
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

/** The log of a command that prints an answer: only what goes wrong, unless a level was asked for. */
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
