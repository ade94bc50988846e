/** The ports of a swarm on this machine: the standard ones, so that people find them, or free ones. */
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { ShoalError } from "../lib/index.ts";
import { isPortTaken } from "../network/index.ts";

export interface LocalSwarmPorts {
  /** UDP and TCP. */
  rendezvous: number;
  diagnostics: number;
  api: number;
}

const STANDARD: LocalSwarmPorts = {
  rendezvous: 51820,
  diagnostics: 51821,
  api: 51822,
};
const HOST = "127.0.0.1";

/** Looks for a number a few times: one that is free for TCP may be taken for UDP. */
const ATTEMPTS = 20;

/**
 * The ports that were asked for; else the standard ones, or free ones where those are taken or `rest` says so. All are numbers: the
 * rendezvous' page names the API before the gateway runs, and nodes try the rendezvous' one number over QUIC and TCP.
 */
export async function choosePorts(
  asked: {
    rendezvousPort?: number | undefined;
    diagnosticsPort?: number | undefined;
    apiPort?: number | undefined;
  },
  rest: "standard" | "free" = "standard",
): Promise<LocalSwarmPorts> {
  const choose = async (
    name: keyof LocalSwarmPorts,
    port: number | undefined,
    transports: readonly string[] = ["tcp"],
  ): Promise<number> => {
    const wanted = port ?? (rest === "standard" ? STANDARD[name] : 0);
    if (wanted === 0) return await anyPort();
    const free = await Promise.all(transports.map((t) => isFree(t, wanted)));
    if (!free.includes(false)) return wanted;
    if (port === undefined) return await anyPort();
    throw new ShoalError("PORT_IN_USE", `port ${port} is in use`, { port });
  };
  return {
    rendezvous: await choose("rendezvous", asked.rendezvousPort, [
      "tcp",
      "udp",
    ]),
    diagnostics: await choose("diagnostics", asked.diagnosticsPort),
    api: await choose("api", asked.apiPort),
  };
}

async function anyPort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = await anyTcpPort();
    if (await isFree("udp", port)) return port;
  }
  throw new ShoalError("PORT_IN_USE", "no port is free");
}

async function isFree(transport: string, port: number): Promise<boolean> {
  const where = { host: HOST, transport, port };
  return !(await isPortTaken(where).catch(() => true));
}

/** It is free again. */
async function anyTcpPort(): Promise<number> {
  const server = createServer().listen(0, HOST);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
