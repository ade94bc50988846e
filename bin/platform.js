/** What differs between Linux, mac and Windows before the program itself runs. Each function takes the platform, so that tests can name another. */
import { posix, win32 } from "node:path";

/**
 * The user's folder for what can be made again: Windows' local application data, elsewhere the XDG cache folder, on a mac too.
 * @param {NodeJS.Platform} platform
 * @param {NodeJS.ProcessEnv} env
 * @param {string} home
 */
export function cacheFolder(platform, env, home) {
  if (platform === "win32") {
    const local = env.LOCALAPPDATA;
    return local !== undefined && win32.isAbsolute(local)
      ? win32.join(local, "shoal/cache")
      : win32.join(home, "AppData/Local/shoal/cache");
  }
  const cache = env.XDG_CACHE_HOME;
  return posix.join(
    cache !== undefined && posix.isAbsolute(cache)
      ? cache
      : posix.join(home, ".cache"),
    "shoal",
  );
}

/**
 * The file of the Node that npm installs with Shoal, as a package's path. Not every platform has one.
 * @param {NodeJS.Platform} platform
 * @param {string} arch
 */
export function nodeFile(platform, arch) {
  return platform === "win32"
    ? `node-win-${arch}/bin/node.exe`
    : `node-${platform}-${arch}/bin/node`;
}

/**
 * Whether a signal that the wrapper gets must be passed on to the program. A terminal sends Ctrl-C to both, and a second one would end
 * the program at once. On Windows every signal comes from the console, which sends it to both, and passing one on would kill.
 * @param {NodeJS.Signals} signal
 * @param {{ platform: NodeJS.Platform, isTerminal: boolean }} where
 */
export function passesOn(signal, { platform, isTerminal }) {
  return platform !== "win32" && (signal !== "SIGINT" || !isTerminal);
}
