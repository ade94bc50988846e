/** Hosts on loopback for tests of the network: started, and stopped with the test. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { Events, withDeadline, type ShoalEvent } from "../../src/lib/index.ts";
import {
  createHost,
  transportOf,
  type FrameStream,
  type Host,
  type HostOptions,
  type PeerTarget,
  type TransportName,
} from "../../src/network/index.ts";

/** Generous: the machine may be busy. A test waits for an event, this only ends a hang. */
export const PATIENCE_MS = 60_000;

/** Until a process has loaded its program and says so. */
const START_MS = 60_000;

export const LOOPBACK = [
  "/ip4/127.0.0.1/udp/0/quic-v1",
  "/ip4/127.0.0.1/tcp/0",
];

export const TRANSPORTS = ["QUIC", "TCP"] as const;

type Cleanup = Pick<TestContext, "after">;

/** A host that is not started yet. */
export async function makeHost(
  t: Cleanup,
  options: HostOptions = {},
): Promise<Host> {
  const host = await createHost({ listen: LOOPBACK, ...options });
  t.after(() => host.stop());
  return host;
}

export async function startHost(
  t: Cleanup,
  options: HostOptions = {},
): Promise<Host> {
  const host = await makeHost(t, options);
  await host.start();
  return host;
}

/** How to reach `host`, over one transport only. */
export function targetOf(
  host: Pick<Host, "peerId" | "addresses">,
  transport: TransportName,
): PeerTarget {
  return {
    peerId: host.peerId,
    addresses: host
      .addresses()
      .filter((address) => transportOf(address) === transport),
  };
}

/** Collects events, and waits for one. */
export class Watched extends Events {
  readonly seen: ShoalEvent[] = [];

  constructor() {
    super();
    this.subscribe((event) => this.seen.push(event));
  }

  /** The first event, seen or yet to come, that matches. */
  async when(
    matches: (event: ShoalEvent) => boolean,
    what: string,
  ): Promise<ShoalEvent> {
    const seen = this.seen.find(matches);
    if (seen !== undefined) return seen;
    return await within(
      new Promise<ShoalEvent>((resolve) => {
        const unsubscribe = this.subscribe((event) => {
          if (!matches(event)) return;
          unsubscribe();
          resolve(event);
        });
      }),
      what,
    );
  }
}

/** `promise`, or a failure that names what was awaited. */
export async function within<T>(
  promise: Promise<T>,
  what: string,
  ms: number = PATIENCE_MS,
): Promise<T> {
  return await withDeadline(ms, what, () => promise);
}

/** The error a stream closes with; undefined for a clean end. */
export async function closeOf(stream: FrameStream): Promise<Error | undefined> {
  return await within(
    new Promise((resolve) => {
      stream.onClose(resolve);
    }),
    "the end of the stream",
  );
}

/** The next stream that `host` accepts for `protocol`. Call before the host starts or a peer asks. */
export function acceptStream(
  host: Host,
  protocol: string,
  options: Parameters<Host["handleStreams"]>[2] = { maxFrameBytes: 1 << 20 },
): Promise<FrameStream> {
  return new Promise((resolve) => {
    host.handleStreams(protocol, resolve, options);
  });
}

export interface PeerProcess {
  process: ChildProcess;
  peerId: string;
  addresses: () => string[];
}

/** A process of `program`, a file beside this one, and what its first line of JSON says of it. It ends with the test, also if it was stopped. */
export async function spawnProgram(
  t: Cleanup,
  program: string,
  args: readonly string[] = [],
): Promise<{ child: ChildProcess; told: unknown }> {
  const path = new URL(program, import.meta.url).pathname;
  const child = spawn(process.execPath, [path, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    // SIGKILL also ends a stopped process.
    child.kill("SIGKILL");
    await gone;
  });
  const lines = createInterface({ input: child.stdout });
  const [line] = (await within(
    once(lines, "line"),
    `the first line of ${program}`,
    START_MS,
  )) as [string];
  return { child, told: JSON.parse(line) as unknown };
}

/** A host in a process of its own: one that may be killed or stopped. */
export async function spawnPeer(t: Cleanup): Promise<PeerProcess> {
  const { child, told } = await spawnProgram(t, "peer-process.ts");
  const { peerId, addresses } = told as { peerId: string; addresses: string[] };
  return { process: child, peerId, addresses: () => addresses };
}
