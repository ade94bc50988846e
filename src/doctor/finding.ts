/** The findings of the checks, and the one cause that follows from them. */
import { CAUSES, type CauseCode, type Facts } from "./causes.ts";

export const CHECKS = [
  "bootstrap",
  "lan",
  "name",
  "udp",
  "tcp",
  "identity",
  "version",
  "clock",
  "dht",
  "state",
  "port",
  "model",
  "disk",
  "gpu",
  "memory",
  "engine",
  "cluster",
  "shards",
  "load",
] as const;

export interface Finding {
  check: (typeof CHECKS)[number];
  /** `note`: worth knowing, not a problem. `skipped`: could not be checked; `text` says why. */
  state: "ok" | "problem" | "note" | "skipped";
  /** One line. */
  text: string;
  /** Of a problem. */
  cause?: CauseCode | undefined;
  facts?: Facts | undefined;
}

export interface Diagnosis {
  healthy: boolean;
  /** The first of the table that was found. */
  cause?: {
    code: CauseCode;
    what: string;
    next: string;
    facts: Facts;
  };
}

/** Pure. One cause: the first in the table; of several of the same, the first found. */
export function diagnose(findings: readonly Finding[]): Diagnosis {
  for (const cause of CAUSES) {
    const found = findings.find(
      (finding) => finding.state === "problem" && finding.cause === cause.code,
    );
    if (found === undefined) continue;
    const { text, facts = {} } = found;
    return {
      healthy: false,
      cause: { code: cause.code, what: text, next: cause.next(facts), facts },
    };
  }
  return { healthy: true };
}

export function ok(
  check: Finding["check"],
  text: string,
  facts?: Facts,
): Finding {
  return { check, state: "ok", text, facts };
}

export function note(check: Finding["check"], text: string): Finding {
  return { check, state: "note", text };
}

export function skipped(check: Finding["check"], text: string): Finding {
  return { check, state: "skipped", text };
}

export function problem(
  check: Finding["check"],
  cause: CauseCode,
  text: string,
  facts: Facts = {},
): Finding {
  return { check, state: "problem", text, cause, facts };
}
