import {
  type CompletedCommand,
  type CompletedOption,
  quoted,
  type Values,
} from "./described.ts";

/** Works when sourced and as a file \`_shoal\` in fpath. */
export function zshScript(
  { name, options }: CompletedCommand,
  commands: readonly CompletedCommand[],
): string {
  const described = commands.map((command) =>
    quoted(`${command.name}:${command.description}`),
  );
  return `#compdef ${name}
_${name}() {
  local curcontext=$curcontext state line
  local -a commands=(
    ${described.join("\n    ")}
  )
  _arguments -C \\
    ${options.flatMap(specs).join(" \\\n    ")} \\
    '1: :->command' '*:: :->words'
  case $state in
    command) _describe command commands ;;
    words)
      case $line[1] in
${commands.map(caseOf).join("\n")}
      esac ;;
  esac
}
if [[ $funcstack[1] == _${name} ]]; then _${name} "$@"; else compdef _${name} ${name}; fi`;
}

function caseOf({ name, options, argument }: CompletedCommand): string {
  const lines = options.flatMap(specs);
  if (argument.kind !== "none") lines.push(quoted(`*: :${action(argument)}`));
  return `        ${name})
          _arguments ${lines.join(" \\\n            ")} ;;`;
}

function specs({
  long,
  short,
  description,
  valueName,
  value,
}: CompletedOption): string[] {
  const text = `[${description.replaceAll(/[[\]\\]/g, String.raw`\$&`)}]`;
  const takes =
    value.kind === "none"
      ? ""
      : `:${valueName.replaceAll(":", String.raw`\:`)}:${action(value)}`;
  const equals = takes === "" ? "" : "=";
  return [
    quoted(`${long}${equals}${text}${takes}`),
    ...(short === undefined ? [] : [quoted(`${short}${text}${takes}`)]),
  ];
}

function action(value: Values): string {
  if (value.kind === "choices") return `(${value.choices.join(" ")})`;
  if (value.kind === "files") return "_files";
  return value.kind === "folders" ? "_files -/" : "";
}
