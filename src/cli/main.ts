/** The `shoal` program: one file a command. Errors are one line with a code; exit codes follow the table in lib/errors.ts. */
import { Command, CommanderError } from "commander";
import { ShoalError, VERSION } from "../lib/index.ts";
import { COMMANDS } from "./commands.ts";
import { guardOutput, tell } from "./output.ts";

const EXIT_USAGE = 64;

export async function main(argv: readonly string[]): Promise<void> {
  guardOutput((error) => process.exit(report(error)));
  const [first, second] = argv.slice(2).filter((word) => !word.startsWith("-"));
  const wanted = first === "help" ? second : first;
  const program = await programWith((name) => name === wanted);
  try {
    await program.parseAsync(argv);
  } catch (thrown) {
    process.exitCode = report(thrown);
  }
}

/** The program; of its commands only those that are `wanted` are loaded, the others have a name and a summary. */
async function programWith(
  wanted: (name: string) => boolean,
): Promise<Command> {
  const program = new Command("shoal")
    .description(
      "Run a language model that fits on none of your machines, on all of them together.",
    )
    .version(VERSION, "-V, --version", "print the version")
    .helpOption("-h, --help", "show this help")
    .commandsGroup("Other commands:")
    .helpCommand("help [command]", "show the help of a command")
    .addHelpText("after", "\nExample:\n  shoal up")
    .exitOverride()
    .configureOutput({ outputError: () => {} });
  for (const [group, entries] of Object.entries(COMMANDS)) {
    program.commandsGroup(group);
    for (const { name, summary, load } of entries) {
      const isWanted = wanted(name);
      const command = isWanted
        ? await load(() => programWith(() => true))
        : new Command(name);
      command.summary(summary).copyInheritedSettings(program);
      if (isWanted) (await import("./options.ts")).withCommon(command);
      program.addCommand(command);
    }
  }
  return program;
}

function report(thrown: unknown): number {
  if (thrown instanceof CommanderError) {
    if (thrown.exitCode === 0) return 0; // --help, --version
    if (thrown.code === "commander.help") return EXIT_USAGE; // it printed the help itself
    tell(`shoal: ${oneLine(thrown.message.replace(/^error: /, ""))} (USAGE)`);
    return EXIT_USAGE;
  }
  const error = ShoalError.from(thrown);
  if (error.code === "OUTPUT_CLOSED") return error.exitCode; // nobody reads
  tell(`shoal: ${oneLine(error.message)} (${error.code})`);
  if (error.code === "INTERNAL" && error.cause instanceof Error)
    tell(...(error.cause.stack ?? "").split("\n"));
  return error.exitCode;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, " ");
}
