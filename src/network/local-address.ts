import { createSocket } from "node:dgram";
import { plainIp } from "./address-class.ts";

/** "Discard"; nothing is sent there. */
const ANY_PORT = 9;

/** The address of this machine from which packets to an IP leave now; undefined if there is no way. Sends nothing. */
export async function localAddressTo(ip: string): Promise<string | undefined> {
  const socket = createSocket(ip.includes(":") ? "udp6" : "udp4");
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.connect(ANY_PORT, ip, resolve);
    });
    return plainIp(socket.address().address);
  } catch {
    return undefined;
  } finally {
    socket.close();
  }
}
