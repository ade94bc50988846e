/**
 * A machine of a test of hole punching, without a model: a rendezvous, or members, each with new sockets. Does what its parent asks, one
 * thing after the other.
 *
 *     fork(…, ["rendezvous", "198.18.1.2"])    fork(…, ["member", "192.168.1.10", …addresses of the rendezvous])
 */
import { Events, ShoalError } from "../../src/lib/index.ts";
import {
  Commands,
  createHost,
  type Host,
  parseListen,
} from "../../src/network/index.ts";
import { Puncher, PunchService, Reflector } from "../../src/reach/index.ts";

/** Ends a hang. */
const PATIENCE_MS = 60_000;

export type PunchRequest =
  /** Another host with another key and other sockets, connected with the rendezvous. Answered with `PunchReady`. */
  | { do: "renew"; quic: boolean }
  /** Connects with a peer none of whose addresses can be reached. */
  | { do: "connect"; peer: string }
  /** Sends so many bytes over a new stream, as one request, and expects them back. */
  | { do: "echo"; peer: string; bytes: number };

export interface PunchReady {
  peerId: string;
  addresses: string[];
}

export interface PunchReply {
  transport?: string;
  address?: string;
  /** From the call to the connection, without the head start that the addresses get. */
  tookMs?: number;
  error?: string;
  /** Of its events since it was asked the last time. */
  said: string[];
}

const ECHO = "/shoal/test-echo/1.0.0";
const [role, address = "", ...rendezvous] = process.argv.slice(2);
let member: { host: Host; puncher: Puncher } | undefined;
const said: string[] = [];
const events = new Events();
events.subscribe(({ tag, message }) => {
  if (tag === "CONNECT") said.push(message);
});

async function startRendezvous(): Promise<PunchReady> {
  const host = await createHost({ listen: parseListen(address), events });
  const commands = new Commands(host);
  const reflector = new Reflector();
  await reflector.start([address], 0);
  new PunchService({
    host,
    commands,
    events,
    reflector,
    areMembers: () => true,
  }).start();
  await host.start();
  return { peerId: host.peerId, addresses: host.addresses() };
}

async function renew(quic: boolean): Promise<PunchReady> {
  member?.puncher.stop();
  await member?.host.stop();
  const host = await createHost({
    listen: parseListen(`${address}:0`),
    quic,
    events,
  });
  const commands = new Commands(host, { maxRequestBytes: 1 << 20 });
  const puncher = new Puncher({ host, commands, events });
  puncher.start();
  host.handleRequests(ECHO, async (payload) => payload);
  await host.start();
  const [first = ""] = rendezvous;
  const peerId = first.split("/p2p/")[1];
  const { peer } = await host.connect(
    { peerId, addresses: rendezvous },
    { timeoutMs: PATIENCE_MS },
  );
  puncher.use(peer);
  member = { host, puncher };
  return { peerId: host.peerId, addresses: host.addresses() };
}

async function answer(request: PunchRequest): Promise<unknown> {
  if (request.do === "renew") return await renew(request.quic);
  said.splice(0);
  const { peer } = request;
  try {
    if (member === undefined) throw new Error("renew first");
    const { host, puncher } = member;
    const startMs = performance.now();
    if (request.do === "echo") {
      const payload = Buffer.alloc(request.bytes, 7);
      const back = await host.request(peer, ECHO, payload, {
        timeoutMs: PATIENCE_MS,
      });
      return { tookMs: performance.now() - startMs, said: [`${back.length}`] };
    }
    await puncher.punch(peer);
    const tookMs = performance.now() - startMs;
    const { transport, address: at } = await host.connect(peer);
    return { transport, address: at, tookMs, said };
  } catch (error) {
    return { error: ShoalError.from(error).message, said };
  }
}

process.on("disconnect", () => process.exit());
process.on("message", (request: PunchRequest) => {
  void answer(request).then((reply) => process.send?.(reply));
});
if (role === "rendezvous") process.send?.(await startRendezvous());
else process.send?.({ ready: true });
