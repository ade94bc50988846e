/** The names of all architectures that the llama.cpp library knows, from the library itself. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import koffi from "koffi";
import { loadNative } from "../../../src/engine/native.ts";

/** More than there will be. */
const MOST = 1_000;
/** What an unknown architecture is called. */
const UNKNOWN = "(unknown)";

/** `llm_arch_name` (src/llama-arch.h) is exported under its C++ name; the numbers have no gaps. */
export function libraryArchitectures(): string[] {
  const { directory } = loadNative();
  const file = readdirSync(directory).find((name) =>
    name.startsWith("libllama.v"),
  );
  const nameOf = koffi
    .load(join(directory, file ?? "libllama"))
    .func("const char* _Z13llm_arch_name8llm_arch(int architecture)");
  const names: string[] = [];
  for (let i = 0; i < MOST; i++) {
    const name = nameOf(i) as string;
    if (name === UNKNOWN || name === "unknown") break;
    names.push(name);
  }
  return names;
}
