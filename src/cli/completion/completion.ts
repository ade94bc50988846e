/** `shoal completion`: prints a script that completes commands, options and values in a shell. It is made from the program itself. */
import { Argument, Command, type Option } from "commander";
import { examples } from "../options.ts";
import { printAsIs } from "../output.ts";
import { bashScript } from "./bash.ts";
import type { CompletedCommand, CompletedOption, Values } from "./described.ts";
import { fishScript } from "./fish.ts";
import { zshScript } from "./zsh.ts";

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;
type Shell = keyof typeof SCRIPTS;

/** `load` gives the program with all of its commands. */
export function completionCommand(load: () => Promise<Command>): Command {
  const command = new Command("completion")
    .description(
      "print a completion script; the startup file of your shell can load it",
    )
    .addArgument(
      new Argument("<shell>", "shell to complete in").choices(
        Object.keys(SCRIPTS),
      ),
    );
  return examples(
    command,
    "source <(shoal completion bash)   # in ~/.bashrc",
    "source <(shoal completion zsh)    # in ~/.zshrc, after compinit",
    "shoal completion fish | source    # in ~/.config/fish/config.fish",
  ).action(async (shell: Shell) => {
    const program = await load();
    const help = program.createHelp();
    const commands = help.visibleCommands(program);
    const names = commands.map((command) => command.name());
    const described = commands.map((command) =>
      describe(command, command.name() === "help" ? names : undefined),
    );
    await printAsIs(SCRIPTS[shell](describe(program), described));
  });
}

function describe(command: Command, choices?: string[]): CompletedCommand {
  const [argument] = command.registeredArguments;
  return {
    name: command.name(),
    description: command.summary() || command.description(),
    options: command.createHelp().visibleOptions(command).map(describeOption),
    argument:
      argument === undefined
        ? { kind: "none" }
        : valuesOf(choices ?? argument.argChoices, argument.name()),
  };
}

function describeOption(option: Option): CompletedOption {
  const valueName = /[<[](.+)[>\]]/.exec(option.flags)?.[1] ?? "";
  return {
    long: option.long ?? "",
    short: option.short,
    // As much as fits beside it.
    description: option.description.split(/;|: | \(default/)[0] ?? "",
    valueName,
    value:
      valueName === ""
        ? { kind: "none" }
        : valuesOf(option.argChoices, valueName),
  };
}

function valuesOf(choices: string[] | undefined, name: string): Values {
  if (choices !== undefined) return { kind: "choices", choices };
  if (name === "dir") return { kind: "folders" };
  return { kind: ["file", "path", "model"].includes(name) ? "files" : "any" };
}
