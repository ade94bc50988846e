/** Bare TCP connections, for what no HTTP client sends. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

export async function dial(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {}); // resets are part of these tests
  await once(socket, "connect");
  return socket;
}

/** Everything the server sends until it closes. */
export async function readAll(socket: Socket): Promise<string> {
  let text = "";
  socket.setEncoding("utf8");
  socket.on("data", (chunk: string) => (text += chunk));
  if (!socket.closed) await once(socket, "close");
  return text;
}
