/** A port at which a host listens, or a router's that leads there. */
import { z } from "zod";

/** Below are the ports of other services: nobody is dialled there for a stranger. */
const FIRST_PORT = 1_024;

export const Port = z.object({
  transport: z.enum(["QUIC", "TCP"]),
  port: z.number().int().min(FIRST_PORT).max(65_535),
});
export type Port = z.infer<typeof Port>;

/** The ports in a host's addresses, as its peers would dial them. */
export function portsOf(addresses: readonly string[]): Port[] {
  const found = addresses
    .filter((address) => !address.includes("/p2p-circuit"))
    .flatMap((address) => {
      const [, , , , port = ""] = address.split("/");
      const transport = address.includes("/quic-v1") ? "QUIC" : "TCP";
      const parsed = Port.safeParse({ transport, port: Number(port) });
      return parsed.success ? [parsed.data] : [];
    });
  return distinct(found);
}

export function distinct(ports: readonly Port[]): Port[] {
  return [...new Map(ports.map((port) => [keyOf(port), port])).values()];
}

export function keyOf({ transport, port }: Port): string {
  return `${transport} ${port}`;
}

/** Without /p2p/. */
export function addressAt(ip: string, { transport, port }: Port): string {
  const family = ip.includes(":") ? "ip6" : "ip4";
  return transport === "QUIC"
    ? `/${family}/${ip}/udp/${port}/quic-v1`
    : `/${family}/${ip}/tcp/${port}`;
}
