import { type CompletedCommand, quoted, type Values } from "./described.ts";

/** For bash 4 and newer. */
export function bashScript(
  program: CompletedCommand,
  commands: readonly CompletedCommand[],
): string {
  const names = commands.map(({ name }) => name);
  return `# bash completion for ${program.name}
_${program.name}() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]}
  local command= words= files= i
  COMPREPLY=()
  [[ $cur == = ]] && cur=
  [[ $prev == = ]] && prev=\${COMP_WORDS[COMP_CWORD - 2]}
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ \${COMP_WORDS[i]} == -* ]] || { command=\${COMP_WORDS[i]}; break; }
  done
  case $command in
    '') words=${quoted([...names, ...flagsOf(program)].join(" "))} ;;
${commands.map(caseOf).join("\n")}
  esac
  [[ $cur == -* || -z $files ]] || { compopt -o filenames 2>/dev/null; words=; }
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  [[ $cur == -* || -z $files ]] || COMPREPLY+=($(compgen "$files" -- "$cur"))
}
complete -F _${program.name} ${program.name}`;
}

function caseOf(command: CompletedCommand): string {
  const byValue = Map.groupBy(
    command.options.filter(({ value }) => value.kind !== "none"),
    ({ value }) => assignment(value),
  );
  const cases = [...byValue].map(
    ([words, options]) =>
      `        ${options.flatMap(spellings).join("|")}) ${words} ;;`,
  );
  const { argument } = command;
  const flags = quoted(
    [
      ...(argument.kind === "choices" ? argument.choices : []),
      ...flagsOf(command),
    ].join(" "),
  );
  const files = argument.kind === "files" ? "files=-f; " : "";
  return `    ${command.name})
      case $prev in
${[...cases, `        *) ${files}words=${flags} ;;`].join("\n")}
      esac ;;`;
}

function assignment(value: Values): string {
  if (value.kind === "choices")
    return `words=${quoted(value.choices.join(" "))}`;
  if (value.kind === "files") return "files=-f";
  return value.kind === "folders" ? "files=-d" : "return";
}

function flagsOf({ options }: CompletedCommand): string[] {
  return options.flatMap(spellings);
}

function spellings({
  long,
  short,
}: CompletedCommand["options"][number]): string[] {
  return short === undefined ? [long] : [long, short];
}
