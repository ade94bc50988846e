/** Liars in a separate process, so that their work is not mistaken for their victim's. Takes orders (test/support/side.ts). */
import { readFile } from "node:fs/promises";
import { takeOrders } from "../support/side.ts";
import { type Liar, startLiar, startWireLiar } from "./malicious-hosts.ts";
import { liesAbout } from "./malicious-peers.ts";
import { metadataOf } from "./store.ts";
import type { PeerSpec } from "../../src/transfer/source.ts";
import { wireLiesAbout } from "./malicious-wires.ts";

export type LiarsOrder =
  /** The file they lie about, and how many of each. Resolves with a LiarReport[]. */
  | { op: "start"; path: string; counts: Counts }
  /** A LiarReport[]. */
  | { op: "report" };

/** How many of each that lies in bytes, is banned for its frames, or only keeps one waiting; and only those whose name matches. */
export interface Counts {
  wire: number;
  banned: number;
  waiting: number;
  only?: string;
}

export interface LiarReport {
  name: string;
  spec: PeerSpec;
  asked: boolean;
  sentBytes: number;
  /** Since it last sent something. */
  silentMs: number;
}

interface Running {
  name: string;
  liar: Liar;
  asked: boolean;
}

const running: Running[] = [];

takeOrders(async (order: LiarsOrder) => {
  if (order.op === "start") await start(order.path, order.counts);
  return running.map(({ name, liar, asked }): LiarReport => {
    const { spec, sentBytes, silentMs } = liar;
    return { name, spec, asked, sentBytes: sentBytes(), silentMs: silentMs() };
  });
});

async function start(path: string, counts: Counts): Promise<void> {
  const bytes = await readFile(path);
  const subject = { metadata: metadataOf(bytes), bytes };
  const lies = liesAbout(subject, "wrong").map((lie) => ({
    name: lie.name,
    count: lie.banned === undefined ? counts.waiting : counts.banned,
    begin: () => startLiar(lie.answer),
  }));
  const wireLies = wireLiesAbout(bytes.length).map((lie) => ({
    name: lie.name,
    count: counts.wire,
    begin: () => startWireLiar(lie),
  }));
  const most = Math.max(counts.wire, counts.banned, counts.waiting);
  // One of each, then another: no kind is first.
  for (let i = 0; i < most; i++) {
    for (const { name, count, begin } of [...lies, ...wireLies]) {
      if (i >= count || !name.includes(counts.only ?? "")) continue;
      const entry = { name, liar: await begin(), asked: false };
      void entry.liar.asked.then(() => {
        entry.asked = true;
      });
      running.push(entry);
    }
  }
}
