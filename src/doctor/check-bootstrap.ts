/** Is a bootstrap given, or an invitation, is it a valid address, and does its name resolve? Without one, who is in the local network? */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { ShoalError, withDeadline } from "../lib/index.ts";
import {
  bootstrapsOf,
  decodeInvitation,
  type Invitation,
  lanAddresses,
  lookOnLan,
  parseTarget,
  type PeerTarget,
} from "../network/index.ts";
import type { Check, Examination, Target } from "./examination.ts";
import { note, ok, problem, type Finding } from "./finding.ts";

export const checkBootstraps: Check = async (examination) => {
  const { options } = examination;
  const findings: Finding[] = [];
  const bootstraps = [...options.bootstraps];
  if (options.join !== undefined) {
    const invitation = readInvitation(options.join);
    if ("state" in invitation) return [invitation];
    bootstraps.push(...onePerPlace(bootstrapsOf(invitation)));
    const { cluster = invitation.cluster } = options;
    examination.options = { ...options, cluster };
    const what = `the invitation is to cluster ${invitation.cluster}, through ${invitation.peers.length} peers`;
    findings.push(ok("bootstrap", what));
  }
  if (bootstraps.length === 0) return await checkLan(examination);
  for (const text of bootstraps) {
    try {
      const { known, host } = targetOf(text, parseTarget(text));
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

function targetOf(
  text: string,
  target: PeerTarget,
): { known: Target; host: string } {
  const [, , host = "", , port = ""] = (target.addresses[0] ?? "").split("/");
  const place = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  return { known: { text, target, place, isResolved: true }, host };
}

function readInvitation(text: string): Invitation | Finding {
  try {
    return decodeInvitation(text);
  } catch (error) {
    const { message, details } = ShoalError.from(error);
    const reason = String(details.reason);
    return problem("bootstrap", "INVITATION_INVALID", message, { reason });
  }
}

/** An invitation names a place by QUIC and by TCP; for people it is one. */
function onePerPlace(addresses: readonly string[]): string[] {
  const places = addresses.map((address) => {
    const [, , host = "", , port = ""] = address.split("/");
    const id = address.split("/p2p/").at(-1) ?? "";
    const at = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    return address.includes("/p2p-circuit") ? address : `${at}/p2p/${id}`;
  });
  return [...new Set(places)];
}

/** How long members are looked for: they answer within some 20 ms, and lost questions are repeated after ten seconds. */
const LAN_MS = 12_000;

async function checkLan(examination: Examination): Promise<Finding[]> {
  const { options, signal } = examination;
  const { cluster, timeoutMs } = options;
  if (cluster === undefined) {
    const what = "no bootstrap was given, and no cluster to look for";
    return [problem("bootstrap", "BOOTSTRAP_MISSING", what)];
  }
  const waitMs = Math.min(LAN_MS, timeoutMs);
  const { found, problems } = await lookOnLan(cluster, { waitMs, signal });
  for (const { peerId, addresses } of found)
    examination.targets.push(
      targetOf(`mDNS: ${peerId}`, { peerId, addresses }).known,
    );
  const count = `${found.length} ${found.length === 1 ? "member" : "members"}`;
  const where = `of ${cluster} in the local network`;
  if (found.length > 0) return [ok("lan", `${count} ${where} by mDNS`)];
  const [why] = problems;
  if (why !== undefined) {
    const what = `this machine cannot ask its local network: ${why}`;
    return [problem("lan", "LAN_UNUSABLE", what, { why })];
  }
  if (!hasLanAddress()) {
    const none = "it has no address of a local network";
    const what = `this machine is in no local network: ${none}`;
    return [problem("lan", "LAN_UNUSABLE", what, { why: none })];
  }
  const what = `no member ${where} answers within ${waitMs / 1000} s`;
  return [problem("lan", "LAN_EMPTY", what, { cluster })];
}

function hasLanAddress(): boolean {
  const all = Object.values(networkInterfaces()).flatMap((one) => one ?? []);
  const addresses = all.map(
    ({ address, family }) =>
      `/${family === "IPv6" ? "ip6" : "ip4"}/${address}/tcp/1`,
  );
  return lanAddresses(addresses).length > 0;
}

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
