/** Bits are the same on one library and one kind of processor only. What else a cluster computes with, in one line. */
import type { Announcement } from "./announcement.ts";

/** Of kinds of engines: a line. */
const KINDS_NAMED = 3;

/** Undefined where all ready holders that say what they compute with say the same. */
export function mixedEngines(
  holders: readonly Pick<Announcement, "state" | "engine">[],
): string | undefined {
  const kinds = new Set(
    holders.flatMap(({ state, engine }) =>
      state === "ready" && engine !== undefined ? [engineKind(engine)] : [],
    ),
  );
  if (kinds.size < 2) return undefined;
  const names = [...kinds].sort();
  const named = names.slice(0, KINDS_NAMED).join(", ");
  const more =
    names.length > KINDS_NAMED ? ` and ${names.length - KINDS_NAMED} more` : "";
  return `the nodes compute with different engines, so a reply may differ from one machine's: ${named}${more}`;
}

/** "llama.cpp v0.5.0 on CUDA1 NVIDIA H100" without the card's number in its machine. */
export function engineKind(engine: string): string {
  return engine.replaceAll(/((?:^|, | on )[A-Za-z]+)\d+ /g, "$1 ");
}
