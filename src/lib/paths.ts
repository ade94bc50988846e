/** Where Shoal keeps its files: in the user's folders for such, or all under one `--home`. */
import { homedir } from "node:os";
import { join, posix, win32 } from "node:path";

export interface Paths {
  /** Configuration file's folder. */
  config: string;
  /** Identity keys and records, which must survive a restart. */
  state: string;
  /** Models and shards. */
  data: string;
}

export interface User {
  platform: NodeJS.Platform;
  env: NodeJS.ProcessEnv;
  /** The home folder. */
  home: string;
}

export function resolvePaths(
  home: string | undefined,
  user: User = {
    platform: process.platform,
    env: process.env,
    home: homedir(),
  },
): Paths {
  if (home !== undefined) {
    return {
      config: home,
      state: join(home, "state"),
      data: join(home, "data"),
    };
  }
  return user.platform === "win32" ? windowsPaths(user) : xdgPaths(user);
}

/** On a mac too. Source: https://specifications.freedesktop.org/basedir-spec/0.8/ (relative paths in the variables are ignored). */
function xdgPaths({ env, home }: User): Paths {
  const base = (variable: string, fallback: string): string => {
    const value = env[variable];
    return posix.join(
      value !== undefined && posix.isAbsolute(value)
        ? value
        : posix.join(home, fallback),
      "shoal",
    );
  };
  return {
    config: base("XDG_CONFIG_HOME", ".config"),
    state: base("XDG_STATE_HOME", ".local/state"),
    data: base("XDG_DATA_HOME", ".local/share"),
  };
}

/** The configuration follows the user to other machines of a Windows domain; keys and models do not. */
function windowsPaths({ env, home }: User): Paths {
  const base = (variable: string, fallback: string): string => {
    const value = env[variable];
    return win32.join(
      value !== undefined && win32.isAbsolute(value)
        ? value
        : win32.join(home, fallback),
      "shoal",
    );
  };
  const local = base("LOCALAPPDATA", "AppData/Local");
  return {
    config: base("APPDATA", "AppData/Roaming"),
    state: win32.join(local, "state"),
    data: win32.join(local, "data"),
  };
}
