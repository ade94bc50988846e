/**
 * Why is it not ready, not connecting, slow? The doctor answers with one cause and what to do next, from real checks: it connects as a
 * guest, does not join, and leaves only a record in the DHT that expires after a minute.
 *
 *     const { healthy, cause, findings } = await runDoctor(options, context);
 *     console.log(cause?.what, cause?.next);
 *
 * Each check is a file; a pure function over a table of causes judges their findings.
 */
import { Commands, createHost, type Host } from "../network/index.ts";
import { checkBootstraps } from "./check-bootstrap.ts";
import { checkCapabilities } from "./check-capabilities.ts";
import { checkCluster } from "./check-cluster.ts";
import { checkDht } from "./check-dht.ts";
import { checkGpu } from "./check-gpu.ts";
import { checkIdentity } from "./check-identity.ts";
import { checkManifest, checkModelDir } from "./check-model.ts";
import { checkReach } from "./check-reach.ts";
import { checkDisk, checkMemory } from "./check-room.ts";
import { checkGivenUp, checkPorts, checkState } from "./check-state.ts";
import type { Check, DoctorOptions, Examination } from "./examination.ts";
import { diagnose, type Diagnosis, type Finding } from "./finding.ts";
import { VERSION } from "../lib/index.ts";

export type { DoctorOptions } from "./examination.ts";
export type { Diagnosis, Finding } from "./finding.ts";

/** Each builds on the results of the previous ones. */
const CHECKS: readonly Check[] = [
  checkBootstraps,
  checkReach,
  checkCapabilities,
  checkDht,
  checkCluster,
  checkManifest,
  checkState,
  checkIdentity,
  checkPorts,
  checkModelDir,
  checkDisk,
  checkGpu,
  checkMemory,
  checkGivenUp,
];

export type DoctorContext = Pick<Examination, "events" | "paths" | "signal">;

export interface DoctorReport extends Diagnosis {
  findings: Finding[];
}

export async function runDoctor(
  options: DoctorOptions,
  { events, paths, signal }: DoctorContext,
): Promise<DoctorReport> {
  await using stack = new AsyncDisposableStack();
  const guest = async (quic: boolean): Promise<Host> => {
    const host = await createHost({
      // A provider record of a guest without an address would be refused.
      listen: ["/ip4/127.0.0.1/tcp/0"],
      version: VERSION,
      dhtClient: true,
      quic,
    });
    stack.defer(() => host.stop());
    await host.start();
    return host;
  };
  const hosts = { udp: await guest(true), tcp: await guest(false) };
  const examination: Examination = {
    options,
    paths,
    events,
    signal,
    hosts,
    commands: new Commands(hosts.udp),
    targets: [],
    reached: [],
  };
  const findings: Finding[] = [];
  for (const check of CHECKS) {
    signal.throwIfAborted();
    findings.push(...(await check(examination)));
  }
  return { ...diagnose(findings), findings };
}
