/**
 * Keeps a network namespace alive by being in it, and lets its parent in: for each listening socket that it is sent, which stays one of
 * the parent's network, it passes connections on to a port of its own loopback. Ends with its parent.
 */
import { connect, type Server } from "node:net";

process.on("disconnect", () => process.exit());
process.on("message", ({ port }: { port: number }, door: Server) => {
  door.on("connection", (visitor) => {
    const inside = connect(port, "127.0.0.1");
    for (const [from, to] of [
      [visitor, inside],
      [inside, visitor],
    ] as const) {
      from.on("error", () => to.destroy());
      from.on("close", () => to.destroy());
      from.pipe(to);
    }
  });
});
process.send?.("here");
