/** For an old Node: runs the same command under the Node that npm installed with this package. */
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { isatty } from "node:tty";

/** @type {NodeJS.Signals[]} */
const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2"];

/** @param {number} needed the oldest version that will do */
export function restart(needed) {
  const node = installedNode();
  if (node === undefined) {
    process.stderr.write(
      `shoal: Shoal needs Node ${needed} (found ${process.versions.node}), and npm installed none with it for ` +
        `${process.platform}-${process.arch}: install Node ${needed} (NODE_VERSION)\n`,
    );
    process.exitCode = 69;
    return;
  }
  const args = [...process.execArgv, ...process.argv.slice(1)];
  const child = spawn(node, args, { stdio: "inherit" });
  // Ctrl-C reaches the child without us, and a second one would end it at once.
  const isTerminal = [0, 1, 2].some((fd) => isatty(fd));
  for (const signal of FORWARDED.filter((name) => name in constants.signals))
    process.on(signal, () => {
      if (signal !== "SIGINT" || !isTerminal) child.kill(signal);
    });
  child.on("error", (error) => {
    process.stderr.write(`shoal: ${node}: ${error.message} (NODE_VERSION)\n`);
    process.exitCode = 69;
  });
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
    // Some signals end no process, and a shell tells the others by this number.
    setTimeout(() => process.exit(128 + constants.signals[signal]), 100);
  });
}

/** @returns {string | undefined} */
function installedNode() {
  const { platform, arch } = process;
  const [os, file] =
    platform === "win32" ? ["win", "bin/node.exe"] : [platform, "bin/node"];
  try {
    return createRequire(import.meta.url).resolve(`node-${os}-${arch}/${file}`);
  } catch {
    return undefined;
  }
}
