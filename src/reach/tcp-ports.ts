/** Local TCP ports whose mapping the reflector knows: a connection to it is kept open until the port is used, or a while. */
import { once } from "node:events";
import { connect, isIPv6, type Socket } from "node:net";
import { withDeadline } from "../lib/index.ts";
import type { Endpoint } from "../network/index.ts";
import { encodeProbe } from "./probe.ts";

const TCP_PORTS = Object.freeze({
  /** As long as the reflector keeps it, and a bit less. */
  keptMs: 12_000,
  /** Punches at once; beyond it the oldest is given up. */
  most: 32,
  connectMs: 1_500,
});

interface Kept {
  socket: Socket;
  timer: NodeJS.Timeout;
}

export class TcpPorts {
  readonly #kept = new Map<string, Kept>();

  /** Opens a new port towards the reflector and says the token there. Rejects where it does not answer. */
  async open(reflector: Endpoint, token: string): Promise<void> {
    const { host, port } = reflector;
    const any = isIPv6(host) ? "::" : "0.0.0.0";
    // Bound before it connects: then libuv sets SO_REUSEADDR, so that the punch may leave from the same port.
    const socket = connect({ host, port, localAddress: any, localPort: 0 });
    socket.on("error", () => this.close(token));
    const timer = setTimeout(() => this.close(token), TCP_PORTS.keptMs);
    this.#kept.set(token, { socket, timer });
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > TCP_PORTS.most && oldest !== undefined)
      this.close(oldest);
    await withDeadline(TCP_PORTS.connectMs, "TCP to the reflector", (signal) =>
      once(socket, "connect", { signal }),
    );
    socket.write(encodeProbe("tcp", token));
  }

  /** Undefined if it is no longer open. */
  localPort(token: string): number | undefined {
    return this.#kept.get(token)?.socket.localPort;
  }

  close(token: string): void {
    const kept = this.#kept.get(token);
    if (kept === undefined) return;
    this.#kept.delete(token);
    clearTimeout(kept.timer);
    kept.socket.destroy();
  }

  stop(): void {
    for (const token of this.#kept.keys()) this.close(token);
  }
}
