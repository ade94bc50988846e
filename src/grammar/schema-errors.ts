import { ShoalError } from "../lib/index.ts";

/** A schema that no grammar is made of. `path` is a JSON path into the schema. */
export function unsupported(path: string, reason: string): ShoalError {
  return new ShoalError(
    "SCHEMA_UNSUPPORTED",
    `the JSON schema is not supported at ${path}: ${reason}`,
    { path },
  );
}

/** The path of `name` below `path`. */
export function below(path: string, name: string | number): string {
  if (typeof name === "number") return `${path}[${name}]`;
  const short = name.slice(0, 100);
  return /^[A-Za-z_$][\w$-]*$/.test(short)
    ? `${path}.${short}`
    : `${path}[${JSON.stringify(short)}]`;
}
