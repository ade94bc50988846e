/**
 * Run in a network namespace of its own by src/ring/silence.test.ts: three data connections on loopback. Nothing of the first two arrives any more,
 * and one of them has data under way; the reader of the third only does not read. Prints after how many ms each ended, as JSON.
 */
import { spawnSync } from "node:child_process";
import { hex, keyPair, Place, type End } from "./data-connections.ts";

const WATCHED_MS = 9_000;

/** A connection from one process's poller to another's, so that one side can stand still. */
class Pair {
  readonly here = new Place();
  readonly there = new Place();
  readonly end: End;

  constructor() {
    const keys = keyPair();
    this.there.expected.set(hex(keys.id), keys.listener);
    const { port } = this.there.listener;
    this.end = this.here.dial(keys.id, keys.dialer, port);
    this.here.until(() => {
      this.there.poller.wait(0);
      return this.end.connection.isOpen;
    });
  }

  cut(): void {
    const port = String(this.there.listener.port);
    for (const side of ["--sport", "--dport"])
      spawnSync("iptables", [
        ..."-w -A INPUT -p tcp".split(" "),
        side,
        port,
        ..."-j DROP".split(" "),
      ]);
  }
}

const [idle, sending, slow] = [new Pair(), new Pair(), new Pair()];
for (let i = 0; i < 40; i++) slow.end.connection.send([Buffer.alloc(1 << 20)]);
const start = performance.now();
idle.cut();
sending.cut();
sending.end.connection.send([Buffer.alloc(4096)]);
const endedMs: Record<string, number> = {};
while (performance.now() - start < WATCHED_MS) {
  for (const [name, { here, end }] of Object.entries({ idle, sending, slow })) {
    here.poller.wait(30);
    end.connection.tick(performance.now());
    if (end.error) endedMs[name] ??= performance.now() - start;
  }
}
const waiting = slow.end.connection.queuedBytes;
const codes = [idle, sending].map(({ end }) => end.error?.code);
process.stdout.write(JSON.stringify({ endedMs, codes, waiting }));
