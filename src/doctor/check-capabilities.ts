/** Is the reached process Shoal, of a compatible version, and does its clock agree with this machine's? */
import { GET_CAPABILITIES, isOff, PROTOCOL, side } from "../cluster/index.ts";
import { isShoalError, ShoalError, VERSION } from "../lib/index.ts";
import type { Check, Examination, Reached } from "./examination.ts";
import { ok, problem, skipped, type Finding } from "./finding.ts";

interface Told {
  reached: Reached;
  version: string;
  protocol: number;
  /** Its clock minus this machine's. */
  aheadMs: number;
}

export const checkCapabilities: Check = async (examination) => {
  const findings: Finding[] = [];
  const told: Told[] = [];
  for (const reached of examination.reached) {
    const answer = await ask(examination, reached);
    if ("finding" in answer) {
      findings.push(answer.finding);
      continue;
    }
    told.push(answer);
    findings.push(versionOf(answer));
    reached.speaks = answer.protocol === PROTOCOL;
  }
  if (told.length > 0) findings.push(clockOf(told));
  return findings;
};

async function ask(
  { commands, options, signal }: Examination,
  reached: Reached,
): Promise<Told | { finding: Finding }> {
  const { peer, target } = reached;
  const { clock, timeoutMs } = options;
  const { place } = target;
  const sentMs = clock.now();
  try {
    const { version, protocol, nowMs } = await commands.call(
      { ...target.target, peerId: peer },
      GET_CAPABILITIES.name,
      {},
      GET_CAPABILITIES.result,
      { timeoutMs, signal },
    );
    const heardMs = clock.now();
    // It read its clock halfway between question and answer.
    const aheadMs = nowMs - (sentMs + heardMs) / 2;
    return { reached, version, protocol, aheadMs };
  } catch (error) {
    signal.throwIfAborted();
    const { message } = ShoalError.from(error);
    const facts = { place, peer };
    if (isShoalError(error, "COMMAND_UNKNOWN", "COMMAND_MALFORMED")) {
      return {
        finding: problem(
          "version",
          "VERSION_MISMATCH",
          `${place} does not say what it is: it is older than this program, or much newer`,
          { ...facts, ours: VERSION, theirs: "unknown" },
        ),
      };
    }
    return {
      finding: isShoalError(error, "PROTOCOL_UNSUPPORTED")
        ? problem(
            "identity",
            "NOT_SHOAL",
            `${place} speaks libp2p, but none of Shoal's protocols`,
            facts,
          )
        : skipped("version", `${place} did not say what it is: ${message}`),
    };
  }
}

function versionOf({ reached, version, protocol }: Told): Finding {
  const { place } = reached.target;
  if (protocol !== PROTOCOL)
    return problem(
      "version",
      "VERSION_MISMATCH",
      `${place} runs Shoal ${version} with protocol ${protocol}; this is ${VERSION} with protocol ${PROTOCOL}`,
      {
        place,
        ours: `${VERSION} (protocol ${PROTOCOL})`,
        theirs: `${version} (protocol ${protocol})`,
      },
    );
  return ok("version", `${place} runs Shoal ${version}; this is ${VERSION}`);
}

/** Two different clocks do not show which is wrong; three do if two agree. */
function clockOf(told: readonly Told[]): Finding {
  const off = told.filter(({ aheadMs }) => isOff(aheadMs));
  const [first] = off;
  if (first === undefined)
    return ok("clock", "the clocks agree", {
      aheadMs: Math.round(told[0]?.aheadMs ?? 0),
    });
  const { aheadMs, reached } = first;
  const alone = off.length === told.length;
  const whose = !alone
    ? `the clock of ${reached.target.place}`
    : told.length > 1
      ? "this machine's clock"
      : `the clock of this machine or that of ${reached.target.place}`;
  const text = !alone
    ? `the clock of ${reached.target.place} is ${side(aheadMs)}`
    : `this machine's clock is ${side(-aheadMs)}${aheadMs > 0 ? "" : " of"} that of ${told.map((t) => t.reached.target.place).join(", ")}`;
  return problem("clock", "CLOCK_OFF", text, {
    whose,
    aheadMs: Math.round(aheadMs),
  });
}
