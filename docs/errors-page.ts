/** Writes docs/ERRORS.md from the table of codes: `npm run docs`. A test fails where the page is older than the table. */
import { writeFileSync } from "node:fs";
import { ERROR_HELP } from "../src/lib/error-help.ts";
import { type ErrorCode, ShoalError } from "../src/lib/index.ts";

const HEAD = `# Errors

Every error of Shoal has a code. Match on the code, never on the text.

- The command line ends its error line with the code, and exits with the code's exit status (as in sysexits.h).
- The API sends the code in lower case as \`error.code\`, or OpenAI's own word where there is one, with the code's HTTP status.
- Logs have it in the field \`code\`.

\`npm run docs\` writes this page from \`src/lib/error-help.ts\`. The causes that \`shoal doctor\` finds are listed in
[Operations](OPERATIONS.md).

| code | HTTP | exit | what it means | what to do |
|---|---|---|---|---|
`;

export function errorsPage(): string {
  const codes = Object.keys(ERROR_HELP) as ErrorCode[];
  const rows = codes.toSorted().map((code) => {
    const { httpStatus, exitCode } = new ShoalError(code, "");
    const [cause, remedy] = ERROR_HELP[code];
    return `| \`${code}\` | ${httpStatus} | ${exitCode} | ${cause} | ${remedy} |\n`;
  });
  return HEAD + rows.join("");
}

if (import.meta.main)
  writeFileSync(new URL("ERRORS.md", import.meta.url), errorsPage());
