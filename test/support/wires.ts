/** Deliberately broken networks in front of a real server: ports that drop, refuse, or let only one transport through. */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import {
  connect,
  createServer,
  type AddressInfo,
  type Server,
  type Socket,
} from "node:net";

type Cleanup = { after: (fn: () => void) => void };

const HOST = "127.0.0.1";

/** A port that is free for both transports now. */
export async function freePort(): Promise<number> {
  for (;;) {
    const server = createServer().listen(0, HOST);
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const udp = createSocket("udp4");
    const bound = await new Promise<boolean>((resolve) => {
      udp.once("error", () => resolve(false));
      udp.bind(port, HOST, () => resolve(true));
    });
    if (bound) udp.close();
    server.close();
    await once(server, "close");
    if (bound) return port;
  }
}

/** UDP that accepts datagrams and answers none. */
export async function swallowUdp(t: Cleanup, port: number): Promise<void> {
  const socket = createSocket("udp4").bind(port, HOST);
  t.after(() => socket.close());
  await once(socket, "listening");
}

/** Passes TCP at `port` on to `target`. */
export async function relayTcp(
  t: Cleanup,
  port: number,
  target: number,
): Promise<void> {
  await serveTcp(t, port, (client) => {
    const server = connect(target, HOST);
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      from.on("error", () => to.destroy());
      from.on("close", () => to.destroy());
      from.pipe(to);
    }
  });
}

/** TCP that accepts connections and stays silent. */
export async function muteTcp(t: Cleanup, port: number): Promise<void> {
  await serveTcp(t, port, (client) => client.resume());
}

/** TCP of another program: sends its own text and hangs up. */
export async function foreignTcp(t: Cleanup, port: number): Promise<void> {
  await serveTcp(t, port, (client) =>
    client.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"),
  );
}

async function serveTcp(
  t: Cleanup,
  port: number,
  onClient: (client: Socket) => void,
): Promise<void> {
  const clients = new Set<Socket>();
  const server: Server = createServer((client) => {
    clients.add(client);
    client.on("error", () => client.destroy());
    client.on("close", () => clients.delete(client));
    onClient(client);
  }).listen(port, HOST);
  t.after(() => {
    for (const client of clients) client.destroy();
    server.close();
  });
  await once(server, "listening");
}

/** Passes UDP at `port` on to `target`, as a NAT does: each sender has a socket of its own there. */
export async function relayUdp(
  t: Cleanup,
  port: number,
  target: number,
): Promise<{ dropReplies: () => void }> {
  let drops = false;
  const front = createSocket("udp4").bind(port, HOST);
  const backs = new Map<number, UdpSocket>();
  t.after(() => {
    front.close();
    for (const back of backs.values()) back.close();
  });
  front.on("message", (data, sender) => {
    let back = backs.get(sender.port);
    if (back === undefined) {
      back = createSocket("udp4");
      backs.set(sender.port, back);
      back.on("message", (answer) => {
        if (!drops) front.send(answer, sender.port, HOST);
      });
    }
    back.send(data, target, HOST);
  });
  await once(front, "listening");
  return { dropReplies: () => void (drops = true) };
}
