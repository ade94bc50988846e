/** Is a bootstrap given, is it a valid address, and does its name resolve? */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { ShoalError, withDeadline } from "../lib/index.ts";
import { parseTarget } from "../network/index.ts";
import type { Check, Examination, Target } from "./examination.ts";
import { note, ok, problem, type Finding } from "./finding.ts";

export const checkBootstraps: Check = async (examination) => {
  const { bootstraps } = examination.options;
  if (bootstraps.length === 0)
    return [
      problem("bootstrap", "BOOTSTRAP_MISSING", "no bootstrap was given"),
    ];
  const findings: Finding[] = [];
  for (const text of bootstraps) {
    try {
      const target = parseTarget(text);
      const [, , host = "", , port = ""] = (target.addresses[0] ?? "").split(
        "/",
      );
      const place = host.includes(":")
        ? `[${host}]:${port}`
        : `${host}:${port}`;
      const known: Target = { text, target, place, isResolved: true };
      examination.targets.push(known);
      findings.push(...(await checkName(examination, known, host)));
    } catch (error) {
      findings.push(
        problem(
          "bootstrap",
          "ADDRESS_MALFORMED",
          ShoalError.from(error).message,
          { address: text },
        ),
      );
    }
  }
  return onlyIfNoneIsGood(examination, findings);
};

async function checkName(
  { options }: Examination,
  target: Target,
  host: string,
): Promise<Finding[]> {
  if (isIP(host) !== 0) return [];
  try {
    const { address } = await withDeadline(
      options.timeoutMs,
      `name ${host}`,
      () => lookup(host),
    );
    return [ok("name", `${host} is ${address}`)];
  } catch (error) {
    target.isResolved = false;
    const { code } = error as { code?: string };
    const why =
      code === "ENOTFOUND" ? "it does not exist" : "its DNS does not answer";
    return [
      problem(
        "name",
        "NAME_UNRESOLVED",
        `the name ${host} has no address: ${why}`,
        { host },
      ),
    ];
  }
}

/** One good bootstrap is enough: problems with another are only a note. */
function onlyIfNoneIsGood(
  { targets }: Examination,
  findings: Finding[],
): Finding[] {
  if (!targets.some(({ isResolved }) => isResolved)) return findings;
  return findings.map((finding) =>
    finding.state === "problem" ? note(finding.check, finding.text) : finding,
  );
}
