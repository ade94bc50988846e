/** The `shoal` program: one file a command. Errors are one line with a code; exit codes follow the table in lib/errors.ts. */
import { Command, CommanderError } from "commander";
import { ShoalError, VERSION } from "../lib/index.ts";
import { guardOutput } from "./output.ts";

const EXIT_USAGE = 64;

/** A command's module is loaded when somebody runs the command or asks for its help; the list shows the summaries here. */
const COMMANDS: readonly {
  name: string;
  summary: string;
  load: () => Promise<Command>;
}[] = [
  {
    name: "up",
    summary: "start a whole swarm on this machine and ask it something",
    load: async () => (await import("./up.ts")).upCommand(),
  },
  {
    name: "rendezvous",
    summary: "run the server where nodes meet",
    load: async () => (await import("./rendezvous.ts")).rendezvousCommand(),
  },
  {
    name: "node",
    summary: "hold a shard of the model and compute with it",
    load: async () => (await import("./node.ts")).nodeCommand(),
  },
  {
    name: "serve",
    summary: "answer OpenAI's API with what a cluster computes",
    load: async () => (await import("./serve.ts")).serveCommand(),
  },
  {
    name: "seed",
    summary: "publish a model for a cluster, and serve it from its file",
    load: async () => (await import("./seed.ts")).seedCommand(),
  },
  {
    name: "get",
    summary: "fetch a file that a cluster shares; without a name, list them",
    load: async () => (await import("./get.ts")).getCommand(),
  },
  {
    name: "torrents",
    summary: "tell how many copies of each part of the model a cluster keeps",
    load: async () => (await import("./torrents.ts")).torrentsCommand(),
  },
  {
    name: "chat",
    summary: "ask a swarm and stream its reply",
    load: async () => (await import("./chat.ts")).chatCommand(),
  },
  {
    name: "status",
    summary:
      "tell how a swarm is: asks any member, or a role on this machine; ends with 0 if it is ready, 3 if not",
    load: async () => (await import("./status.ts")).statusCommand(),
  },
  {
    name: "top",
    summary: "show the state of a role live in the terminal; into a pipe once",
    load: async () => (await import("./top.ts")).topCommand(),
  },
  {
    name: "split",
    summary: "cut a GGUF into shards and write its manifest",
    load: async () => (await import("./split.ts")).splitCommand(),
  },
  {
    name: "inspect",
    summary: "show what a file is: a model, a shard or a manifest",
    load: async () => (await import("./inspect.ts")).inspectCommand(),
  },
  {
    name: "verify",
    summary: "prove that shards give the whole model's logits, bit for bit",
    load: async () => (await import("./verify.ts")).verifyCommand(),
  },
  {
    name: "doctor",
    summary:
      "tell the one cause why a node does not connect, is not ready or is slow; ends with 0 if there is none, 4 if there is",
    load: async () => (await import("./doctor.ts")).doctorCommand(),
  },
];

export async function main(argv: readonly string[]): Promise<void> {
  guardOutput((error) => process.exit(report(error)));
  const program = new Command("shoal")
    .description(
      "Run a language model that fits on none of your machines, on all of them together.",
    )
    .version(VERSION)
    .exitOverride()
    .configureOutput({ outputError: () => {} });
  const [first, second] = argv.slice(2).filter((word) => !word.startsWith("-"));
  const wanted = first === "help" ? second : first;
  for (const { name, summary, load } of COMMANDS) {
    const command = name === wanted ? await load() : new Command(name);
    command.summary(summary).copyInheritedSettings(program);
    program.addCommand(command);
  }
  try {
    await program.parseAsync(argv);
  } catch (thrown) {
    process.exitCode = report(thrown);
  }
}

function report(thrown: unknown): number {
  if (thrown instanceof CommanderError) {
    if (thrown.exitCode === 0) return 0; // --help, --version
    if (thrown.code === "commander.help") return EXIT_USAGE; // it printed the help itself
    process.stderr.write(
      `shoal: ${thrown.message.replace(/^error: /, "")} (USAGE)\n`,
    );
    return EXIT_USAGE;
  }
  const error = ShoalError.from(thrown);
  if (error.code === "OUTPUT_CLOSED") return error.exitCode; // nobody reads
  process.stderr.write(
    `shoal: ${error.message.replaceAll("\n", " ")} (${error.code})\n`,
  );
  if (error.code === "INTERNAL" && error.cause instanceof Error)
    process.stderr.write(`${error.cause.stack}\n`);
  return error.exitCode;
}
