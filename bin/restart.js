/** For an old Node: a wrapper that runs the same command under the Node that npm installed with this package. */
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { Socket } from "node:net";
import { constants } from "node:os";
import { isatty } from "node:tty";
import { nodeFile, passesOn } from "./platform.js";

/** @type {NodeJS.Signals[]} */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2"];

/** Names the pipe to the wrapper in the program's environment. */
const WRAPPER = "SHOAL_WRAPPER_FD";
const PIPE_FD = 3;

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
  // The program ends when this pipe does: also if this process is killed and cannot tell it.
  const child = spawn(node, args, {
    stdio: ["inherit", "inherit", "inherit", "pipe"],
    env: { ...process.env, [WRAPPER]: String(PIPE_FD) },
  });
  child.stdio[PIPE_FD]?.on("error", () => {});
  const where = {
    platform: process.platform,
    isTerminal: [0, 1, 2].some((fd) => isatty(fd)),
  };
  for (const signal of SIGNALS.filter((name) => name in constants.signals))
    process.on(signal, () => {
      if (passesOn(signal, where)) child.kill(signal);
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

/** In the program: stops it when its wrapper is gone, as SIGTERM does. */
export function followWrapper() {
  const fd = Number(process.env[WRAPPER]);
  // Not for the processes that it starts.
  delete process.env[WRAPPER];
  if (fd !== PIPE_FD) return;
  const pipe = new Socket({ fd, readable: true, writable: false });
  pipe.on("error", () => {});
  pipe.on("close", () => {
    if (!process.emit("SIGTERM", "SIGTERM")) process.exit(143);
  });
  pipe.resume().unref();
}

/** @returns {string | undefined} */
function installedNode() {
  const { platform, arch } = process;
  try {
    return createRequire(import.meta.url).resolve(nodeFile(platform, arch));
  } catch {
    return undefined;
  }
}
