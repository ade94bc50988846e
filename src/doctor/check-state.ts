/** Can this machine keep its identity and listen where it should? */
import { access, mkdir, open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { formatDuration, isShoalError, ShoalError } from "../lib/index.ts";
import { givenUpFileSchema, givenUpPath } from "../status/index.ts";
import { createHost, isPortTaken, listenPort } from "../network/index.ts";
import type { Check, Examination } from "./examination.ts";
import { note, ok, problem, skipped, type Finding } from "./finding.ts";

/** The folder must be writable; an existing key must be valid. */
export const checkState: Check = async (examination) => {
  const { state } = examination.paths;
  try {
    await mkdir(state, { recursive: true, mode: 0o700 });
    const probe = join(state, `.doctor-${process.pid}`);
    const file = await open(probe, "wx");
    await file.close();
    await rm(probe);
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    // A full disk is its own cause.
    if (code === "ENOSPC") return [note("state", "the disk is full")];
    return [
      problem(
        "state",
        "STATE_UNUSABLE",
        `the state folder ${state} cannot be written: ${code || message}`,
        { path: state },
      ),
    ];
  }
  return [
    ok("state", `the state folder ${state} is writable`),
    ...(await checkKey(examination, join(state, "node.key"))),
  ];
};

/** What the node of this home gave up in its last run, or in the one that goes on. */
export const checkGivenUp: Check = async ({ paths, options }) => {
  const text = await readFile(givenUpPath(paths.state), "utf8").catch(
    () => "[]", // it gave nothing up
  );
  const { success, data } = givenUpFileSchema.safeParse(parsed(text));
  if (!success) return [skipped("engine", "what was given up is not readable")];
  return data.map((shard) => {
    const { index, count, layerStart, layerEnd, reason, sinceMs } = shard;
    const ago = formatDuration(options.clock.now() - sinceMs);
    return problem(
      "engine",
      "SHARD_GIVEN_UP",
      `the node of this home gave up shard ${index} of ${count} (layers ${layerStart}-${layerEnd - 1}) ${ago} ago: ${reason}`,
      { shard: index },
    );
  });
};

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function checkKey(
  examination: Examination,
  keyPath: string,
): Promise<Finding[]> {
  const exists = await access(keyPath).then(
    () => true,
    () => false,
  );
  if (!exists) return [];
  try {
    await using host = await createHost({ keyPath, quic: false });
    examination.ownPeer = host.peerId;
    return [ok("state", `this node is ${host.peerId}`)];
  } catch (error) {
    return [
      problem("state", "IDENTITY_DAMAGED", ShoalError.from(error).message, {
        path: keyPath,
      }),
    ];
  }
}

/** Only addresses with a fixed port: a free one always exists. */
export const checkPorts: Check = async (examination) => {
  const findings: Finding[] = [];
  for (const address of examination.options.listen) {
    const { host, transport, port } = listenPort(address);
    if (port === 0) continue;
    const taken = await isPortTaken({ host, transport, port });
    const name = `${transport.toUpperCase()} port ${port} of ${host}`;
    if (!taken) findings.push(ok("port", `${name} is free`));
    else if (await isOwnNode(examination, host, transport, port))
      findings.push(
        ok("port", `${name} is used by this node, which is running`),
      );
    else
      findings.push(
        problem("port", "PORT_IN_USE", `${name} is used by another program`, {
          port,
          host,
          transport,
        }),
      );
  }
  return findings;
};

/** A running node of this home may be why its port is taken: it must answer there. */
async function isOwnNode(
  { ownPeer, hosts, options, signal }: Examination,
  host: string,
  transport: string,
  port: number,
): Promise<boolean> {
  if (ownPeer === undefined) return false;
  const near = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  const family = near.includes(":") ? "ip6" : "ip4";
  const isUdp = transport === "udp";
  const address = `/${family}/${near}/${transport}/${port}${isUdp ? "/quic-v1" : ""}`;
  try {
    const { peer } = await hosts[isUdp ? "udp" : "tcp"].connect(
      { addresses: [address] },
      { timeoutMs: options.timeoutMs, signal },
    );
    return peer === ownPeer;
  } catch (error) {
    signal.throwIfAborted();
    if (isShoalError(error)) return false;
    throw error;
  }
}
