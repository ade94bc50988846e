/** The `shoal` program: one file a command. Errors are one line with a code; exit codes follow the table in lib/errors.ts. */
import { Command, CommanderError } from "commander";
import { ShoalError, VERSION } from "../lib/index.ts";
import { chatCommand } from "./chat.ts";
import { doctorCommand } from "./doctor.ts";
import { getCommand } from "./get.ts";
import { inspectCommand } from "./inspect.ts";
import { nodeCommand } from "./node.ts";
import { rendezvousCommand } from "./rendezvous.ts";
import { seedCommand } from "./seed.ts";
import { serveCommand } from "./serve.ts";
import { splitCommand } from "./split.ts";
import { statusCommand } from "./status.ts";
import { torrentsCommand } from "./torrents.ts";
import { topCommand } from "./top.ts";
import { upCommand } from "./up.ts";
import { verifyCommand } from "./verify.ts";

const EXIT_USAGE = 64;

export async function main(argv: readonly string[]): Promise<void> {
  const program = new Command("shoal")
    .description(
      "Run a language model that fits on none of your machines, on all of them together.",
    )
    .version(VERSION)
    .exitOverride()
    .configureOutput({ outputError: () => {} });
  const commands = [
    upCommand(),
    rendezvousCommand(),
    nodeCommand(),
    serveCommand(),
    seedCommand(),
    getCommand(),
    torrentsCommand(),
    chatCommand(),
    statusCommand(),
    topCommand(),
    splitCommand(),
    inspectCommand(),
    verifyCommand(),
    doctorCommand(),
  ];
  for (const command of commands) {
    command.copyInheritedSettings(program);
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
  process.stderr.write(
    `shoal: ${error.message.replaceAll("\n", " ")} (${error.code})\n`,
  );
  if (error.code === "INTERNAL" && error.cause instanceof Error)
    process.stderr.write(`${error.cause.stack}\n`);
  return error.exitCode;
}
