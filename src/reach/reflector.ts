/**
 * Sees from where a member's packets come: two UDP ports, which tell whether its router gives it the same port for each target, and a TCP
 * port. It answers nothing, so that nobody can use it against others: what it saw goes to whoever expects the token, over the member's own
 * authenticated connection. Packets without an expected token cost one look into a map.
 */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import {
  createServer,
  isIPv4,
  type AddressInfo,
  type Server,
  type Socket,
} from "node:net";
import { setTimeout as later } from "node:timers/promises";
import type { Endpoint } from "../network/index.ts";
import { decodeProbe, PROBE_BYTES, type Probed } from "./probe.ts";
import type { Seen } from "./punch-plan.ts";

export const REFLECTOR = Object.freeze({
  /** After the port that the rendezvous listens on; the next one too. If somebody has them, any. */
  portOffset: 10,
  /** Tokens expected at once: 16 for each of the pairs that are punched at once. */
  maxExpected: 1_024,
  /** TCP connections that keep a mapping open while their owner punches. */
  maxConnections: 256,
  maxConnectionsPerAddress: 16,
  /** A punch takes at most 10 s. */
  connectionMs: 15_000,
});

/** What was seen of one token so far. */
export class Expected {
  readonly token: string;
  readonly #seen = new Map<Probed, [Endpoint?, Endpoint?]>();
  #changed = Promise.withResolvers<void>();

  constructor(token: string) {
    this.token = token;
  }

  of(socket: Probed): Seen {
    const [first, second] = this.#seen.get(socket) ?? [];
    return [first, second];
  }

  note(socket: Probed, port: 0 | 1, from: Endpoint): void {
    const seen = this.#seen.get(socket) ?? [];
    if (seen[port] !== undefined) return;
    seen[port] = from;
    this.#seen.set(socket, seen);
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** Once all that are wanted were seen, or after `ms`. */
  async until(isEnough: (seen: this) => boolean, ms: number): Promise<void> {
    const over = new AbortController();
    const end = later(ms, "late" as const, { signal: over.signal }).catch(
      () => "late" as const,
    );
    while (!isEnough(this)) {
      const next = await Promise.race([this.#changed.promise, end]);
      if (next === "late") break;
    }
    over.abort();
  }
}

export class Reflector {
  readonly #expected = new Map<string, Expected>();
  readonly #udp: UdpSocket[] = [];
  readonly #tcp: Server[] = [];
  readonly #connections = new Map<string, Set<Socket>>();
  #ports: { udp: [number, number]; tcp: number } | undefined;

  /** Undefined until it has started. */
  get ports(): { udp: [number, number]; tcp: number } | undefined {
    return this.#ports;
  }

  /** Listens at each of these IPs, with the same ports. Rejects with the system's error if that cannot be. */
  async start(hosts: readonly string[], port: number): Promise<void> {
    try {
      await this.#listen(hosts, port);
    } catch (error) {
      await this.stop();
      if (port === 0 || (error as { code?: string }).code !== "EADDRINUSE")
        throw error;
      await this.#listen(hosts, 0);
    }
  }

  async stop(): Promise<void> {
    this.#ports = undefined;
    for (const all of this.#connections.values())
      for (const socket of all) socket.destroy();
    const ends = [
      ...this.#udp.splice(0).map((socket) => closed(socket)),
      ...this.#tcp.splice(0).map((server) => closed(server)),
    ];
    await Promise.all(ends);
  }

  /** From now on; undefined if too many are expected already. Forget it in the end. */
  expect(token: string): Expected | undefined {
    if (this.#expected.size >= REFLECTOR.maxExpected) return undefined;
    const expected = new Expected(token);
    this.#expected.set(token, expected);
    return expected;
  }

  forget({ token }: Expected): void {
    this.#expected.delete(token);
  }

  async #listen(hosts: readonly string[], port: number): Promise<void> {
    let [first, second, tcp] = [port, port === 0 ? 0 : port + 1, port];
    for (const host of hosts) {
      first = await this.#bindUdp(host, first, 0);
      second = await this.#bindUdp(host, second, 1);
      tcp = await this.#bindTcp(host, tcp);
    }
    this.#ports = { udp: [first, second], tcp };
  }

  async #bindUdp(host: string, port: number, index: 0 | 1): Promise<number> {
    const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
    this.#udp.push(socket);
    socket.on("message", (bytes, { address, port: from }) =>
      this.#note(bytes, index, address, from),
    );
    socket.bind({ address: host, port, exclusive: true });
    await once(socket, "listening"); // rejects with the error
    socket.on("error", () => {}); // of one datagram
    return socket.address().port;
  }

  async #bindTcp(host: string, port: number): Promise<number> {
    const server = createServer((socket) => this.#onConnection(socket));
    this.#tcp.push(server);
    server.maxConnections = REFLECTOR.maxConnections;
    server.listen({ host, port, exclusive: true });
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  }

  #onConnection(socket: Socket): void {
    const { remoteAddress: address, remotePort: port } = socket;
    socket.on("error", () => socket.destroy());
    if (address === undefined || port === undefined) return;
    const all = this.#connections.get(address) ?? new Set();
    if (all.size >= REFLECTOR.maxConnectionsPerAddress) {
      socket.destroy();
      return;
    }
    this.#connections.set(address, all.add(socket));
    const timer = setTimeout(() => socket.destroy(), REFLECTOR.connectionMs);
    socket.on("close", () => {
      clearTimeout(timer);
      all.delete(socket);
      if (all.size === 0) this.#connections.delete(address);
    });
    let received: Buffer = Buffer.alloc(0);
    socket.on("data", (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
      if (received.byteLength > PROBE_BYTES) socket.destroy();
      else this.#note(received, 0, address, port);
    });
  }

  #note(bytes: Uint8Array, index: 0 | 1, address: string, port: number): void {
    const probe = decodeProbe(bytes);
    if (probe === undefined) return;
    const bare = address.replace(/^::ffff:/, "");
    const host = isIPv4(bare) ? bare : address;
    this.#expected.get(probe.token)?.note(probe.from, index, { host, port });
  }
}

async function closed(one: UdpSocket | Server): Promise<void> {
  await new Promise<void>((resolve) => {
    try {
      one.close(() => resolve());
    } catch {
      resolve(); // it never listened
    }
  });
}
