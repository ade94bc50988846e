/** Connections that stand beside a peer's others: used by nothing but what names them. A dial back makes one, and it ends soon. */
import type { Connection } from "@libp2p/interface";

export class Aside {
  readonly #open = new Map<string, Connection>();
  /** Directions and peers whose next connections are of that kind, and how often that was said. */
  readonly #next = new Map<string, number>();

  /** Until the returned function is called, new connections of the peer are of that kind. */
  expect(peer: string, direction: Connection["direction"]): () => void {
    const key = `${direction} ${peer}`;
    const count = (by: 1 | -1): void => {
      const left = (this.#next.get(key) ?? 0) + by;
      if (left === 0) this.#next.delete(key);
      else this.#next.set(key, left);
    };
    count(1);
    return () => count(-1);
  }

  /** Whether a connection that opened is of that kind. */
  takes(connection: Connection): boolean {
    const { direction, remotePeer } = connection;
    if (!this.#next.has(`${direction} ${remotePeer.toString()}`)) return false;
    this.#open.set(connection.id, connection);
    return true;
  }

  /** Whether a connection that closed was. */
  drops({ id }: Connection): boolean {
    return this.#open.delete(id);
  }

  byId(id: string): Connection | undefined {
    return this.#open.get(id);
  }
}
