/** Does a bootstrap answer by UDP, and by TCP? Each is tried separately, and an answer means that an echo came back. */
import { connect } from "node:net";
import { isShoalError, ShoalError } from "../lib/index.ts";
import { type DialKind, type Host, transportOf } from "../network/index.ts";
import type { Check, Examination, Target } from "./examination.ts";
import { note, ok, problem, skipped, type Finding } from "./finding.ts";

type Way = "udp" | "tcp";

/** The result of one transport. `unasked`: the address names only the other one, or this platform has none. */
interface Answer {
  kind: "ok" | "unasked" | "no-echo" | DialKind;
  peer?: string;
  ms?: number;
}

export const checkReach: Check = async (examination) => {
  const findings: Finding[] = [];
  for (const target of examination.targets) {
    if (!target.isResolved) continue;
    const [udp, tcp] = await Promise.all([
      ask(examination, target, "udp"),
      ask(examination, target, "tcp"),
    ]);
    const peer = udp.peer ?? tcp.peer;
    if (peer !== undefined)
      examination.reached.push({ target, peer, speaks: false });
    findings.push(...(await tell(examination, target, udp, tcp)));
  }
  if (examination.reached.length === 0) return findings;
  // One transport that answers is enough to join.
  const good = new Set(examination.reached.map((r) => r.target.place));
  return findings.map((finding) =>
    finding.state === "problem" &&
    !good.has(String(finding.facts?.place)) &&
    finding.check === "bootstrap"
      ? note(finding.check, finding.text)
      : finding,
  );
};

async function ask(
  { hosts, options, signal }: Examination,
  { target }: Target,
  way: Way,
): Promise<Answer> {
  const wanted = way === "udp" ? "QUIC" : "TCP";
  const addresses = target.addresses.filter((a) => transportOf(a) === wanted);
  const host: Host = hosts[way];
  if (addresses.length === 0) return { kind: "unasked" };
  const wait = { timeoutMs: options.timeoutMs, signal };
  let peer: string;
  try {
    ({ peer } = await host.connect({ ...target, addresses }, wait));
  } catch (error) {
    signal.throwIfAborted();
    const { details } = ShoalError.from(error);
    const [kind] = (details.kinds ?? []) as DialKind[];
    // Without QUIC here there is no address left to dial.
    if (kind === undefined && way === "udp" && isShoalError(error))
      return { kind: details.timeoutMs === undefined ? "unasked" : "silent" };
    // QUIC's binding has no error text for a closed port.
    return {
      kind: way === "udp" && kind === "failed" ? "silent" : (kind ?? "silent"),
    };
  }
  try {
    return { kind: "ok", peer, ms: await host.ping(peer, wait) };
  } catch {
    // A libp2p peer without our echo: the next check identifies it.
    return { kind: "no-echo", peer };
  }
}

async function tell(
  examination: Examination,
  target: Target,
  udp: Answer,
  tcp: Answer,
): Promise<Finding[]> {
  const { place } = target;
  const answers = { udp, tcp };
  const lines = (["udp", "tcp"] as const).map((way) =>
    line(way, place, answers[way]),
  );
  if (udp.peer !== undefined || tcp.peer !== undefined) {
    if (udp.peer === undefined && udp.kind !== "unasked")
      lines[0] = problem(
        "udp",
        "UDP_BLOCKED",
        `${place} answers by TCP, not by UDP (${wordsOf(udp)})`,
        { place },
      );
    if (tcp.peer === undefined && tcp.kind !== "unasked")
      lines[1] = problem(
        "tcp",
        "TCP_BLOCKED",
        `${place} answers by UDP, not by TCP (${wordsOf(tcp)})`,
        { place },
      );
    return lines;
  }
  return [...lines, await unreached(examination, target, udp, tcp)];
}

function line(way: Way, place: string, answer: Answer): Finding {
  const name = way.toUpperCase();
  if (answer.kind === "ok")
    return ok(way, `${place} answers by ${name} in ${ms(answer.ms)}`);
  if (answer.kind === "no-echo")
    return note(way, `${place} answers by ${name}, without an echo`);
  if (answer.kind === "unasked")
    return skipped(way, `${place} was not tried by ${name}`);
  return note(way, `${place} by ${name}: ${wordsOf(answer)}`);
}

/** Neither transport: the reason from both errors. */
async function unreached(
  { options }: Examination,
  { place, target }: Target,
  udp: Answer,
  tcp: Answer,
): Promise<Finding> {
  const kinds = new Set([udp.kind, tcp.kind]);
  const facts = { place };
  const found = (cause: Parameters<typeof problem>[1], text: string): Finding =>
    problem("bootstrap", cause, text, facts);
  if (kinds.has("other-peer"))
    return found(
      "WRONG_PEER",
      `another peer than ${target.peerId ?? "the expected one"} answers at ${place}`,
    );
  if (kinds.has("no-route"))
    return found("NO_ROUTE", `there is no route to ${place}`);
  if (
    tcp.kind === "failed" ||
    (tcp.kind === "silent" && (await accepts(place, options.timeoutMs)))
  )
    return found(
      "NOT_SHOAL",
      `the program at ${place} is not Shoal: it accepts a connection but does not speak libp2p`,
    );
  if (kinds.has("refused"))
    return found("NOTHING_LISTENS", `nothing listens at ${place}`);
  return found(
    "BOOTSTRAP_SILENT",
    `${place} answers neither by UDP nor by TCP`,
  );
}

/** Whether a TCP connection opens at all. */
function accepts(place: string, timeoutMs: number): Promise<boolean> {
  const [, host = "", port = ""] = /^\[?(.*?)\]?:(\d+)$/.exec(place) ?? [];
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port), timeout: timeoutMs });
    const done = (accepted: boolean): void => {
      socket.destroy();
      resolve(accepted);
    };
    socket.once("connect", () => done(true));
    socket.once("timeout", () => done(false));
    socket.once("error", () => done(false));
  });
}

const WORDS: Readonly<Record<Answer["kind"], string>> = {
  ok: "answers",
  unasked: "not asked",
  "no-echo": "no echo",
  refused: "refused",
  "no-name": "no such name",
  "no-route": "no route",
  "other-peer": "another peer answers",
  silent: "no answer",
  failed: "it does not speak libp2p",
};

function wordsOf({ kind }: Answer): string {
  return WORDS[kind];
}

function ms(value: number | undefined): string {
  return value === undefined ? "?" : `${value.toFixed(1)} ms`;
}
