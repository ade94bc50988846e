/** A rendezvous helps its members through their routers. */
import type { RendezvousService } from "../cluster/index.ts";
import { type EventSink, ShoalError } from "../lib/index.ts";
import {
  type Commands,
  type Host,
  ipOf,
  listenPort,
} from "../network/index.ts";
import { PunchService, Reflector, REFLECTOR } from "../reach/index.ts";

export interface PunchingOptions {
  host: Host;
  commands: Commands;
  events: EventSink;
  service: RendezvousService;
  listen: readonly string[];
}

/** Not where only this machine reaches it: nobody there needs a hole. Without its ports it goes on without. */
export async function servePunching(
  stack: AsyncDisposableStack,
  { host, commands, events, service, listen }: PunchingOptions,
): Promise<void> {
  const hosts = [...new Set(listen.flatMap((a) => ipOf(a) ?? []))].filter(
    (ip) => ip !== "::1" && !ip.startsWith("127."),
  );
  if (hosts.length === 0) return;
  const reflector = new Reflector();
  const [port = 0] = listen.map((address) => listenPort(address).port);
  const last = 65_535 - REFLECTOR.portOffset - 1;
  const wanted = port === 0 || port > last ? 0 : port + REFLECTOR.portOffset;
  try {
    await reflector.start(hosts, wanted);
  } catch (error) {
    const { message } = ShoalError.from(error);
    events.warn("LISTEN", `no hole punching: ${message}`, {});
    return;
  }
  stack.defer(() => reflector.stop());
  const { udp = [], tcp } = reflector.ports ?? {};
  events.info(
    "LISTEN",
    `helps members through their routers: UDP ports ${udp.join(" and ")}, TCP port ${tcp}`,
    { udp, tcp },
  );
  new PunchService({
    host,
    commands,
    events,
    reflector,
    areMembers: (one, other) => service.areMembers(one, other),
  }).start();
}
