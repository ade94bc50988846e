import type { CompletedCommand, CompletedOption, Values } from "./described.ts";

export function fishScript(
  program: CompletedCommand,
  commands: readonly CompletedCommand[],
): string {
  const first = `complete -c ${program.name} -n __fish_use_subcommand`;
  return [
    `# fish completion for ${program.name}`,
    `complete -c ${program.name} -f`,
    ...program.options.map((option) => `${first} ${optionWords(option)}`),
    ...commands.flatMap(({ name, description, options, argument }) => {
      const after = `complete -c ${program.name} -n ${quoted(`__fish_seen_subcommand_from ${name}`)}`;
      const values = valueWords(argument);
      return [
        `${first} -a ${name} -d ${quoted(description)}`,
        ...options.map((option) => `${after} ${optionWords(option)}`),
        ...(values === "" ? [] : [`${after} ${values}`]),
      ];
    }),
  ].join("\n");
}

function optionWords({
  long,
  short,
  description,
  value,
}: CompletedOption): string {
  return [
    `-l ${long.replace(/^--/, "")}`,
    short === undefined ? "" : `-s ${short.replace("-", "")}`,
    value.kind === "none" ? "" : "-r",
    valueWords(value),
    `-d ${quoted(description)}`,
  ]
    .filter((word) => word !== "")
    .join(" ");
}

function valueWords(value: Values): string {
  if (value.kind === "choices")
    return `-f -a ${quoted(value.choices.join(" "))}`;
  if (value.kind === "files") return "-F";
  return value.kind === "folders"
    ? "-f -a '(__fish_complete_directories)'"
    : "";
}

/** In single quotes fish knows the backslash. */
function quoted(text: string): string {
  return `'${text.replaceAll(/['\\]/g, String.raw`\$&`)}'`;
}
