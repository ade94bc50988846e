/** Where Shoal keeps its files: in the XDG base directories, or all under one `--home`. */
import { homedir } from "node:os";
import { join } from "node:path";

export interface Paths {
  /** Configuration file's folder. */
  config: string;
  /** Identity keys and records, which must survive a restart. */
  state: string;
  /** Models and shards. */
  data: string;
}

/** Source: https://specifications.freedesktop.org/basedir-spec/0.8/ (relative paths in the variables are ignored). */
export function resolvePaths(
  home: string | undefined,
  env: NodeJS.ProcessEnv = process.env,
): Paths {
  if (home !== undefined) {
    return {
      config: home,
      state: join(home, "state"),
      data: join(home, "data"),
    };
  }
  const base = (variable: string, fallback: string): string => {
    const value = env[variable];
    return join(
      value?.startsWith("/") === true ? value : join(homedir(), fallback),
      "shoal",
    );
  };
  return {
    config: base("XDG_CONFIG_HOME", ".config"),
    state: base("XDG_STATE_HOME", ".local/state"),
    data: base("XDG_DATA_HOME", ".local/share"),
  };
}
