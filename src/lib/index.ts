/**
 * The base of every folder: one error class with stable codes, structured events, waiting with deadlines, units, paths, content ids. It
 * imports nothing of ours.
 *
 *     throw new ShoalError("GGUF_TRUNCATED", "file ends inside the tensor table", { offset: 24 });
 *     await withDeadline(5_000, "the bootstrap", (signal) => dial(address, signal));
 */
export * from "./errors.ts";
export * from "./events.ts";
export * from "./log.ts";
export * from "./loopback.ts";
export * from "./terminal.ts";
export * from "./async.ts";
export * from "./clock.ts";
export * from "./compare.ts";
export * from "./compute-mode.ts";
export * from "./units.ts";
export * from "./paths.ts";
export * from "./files.ts";
export * from "./file-names.ts";
export * from "./held-files.ts";
export * from "./http.ts";
export * from "./memory.ts";
export * from "./merkle.ts";
export * from "./package.ts";
