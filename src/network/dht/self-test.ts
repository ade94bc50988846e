/**
 * Tests from outside whether this host's DHT stores and answers: a second identity connects over a real socket, puts a record, gets it,
 * provides a key and finds itself. From inside, a DHT that is up and keeps nothing looks healthy.
 */
import { ShoalError, type EventSink } from "../../lib/index.ts";
import type { DhtProbe } from "./dht.ts";
import { createHost } from "../create-host.ts";
import type { Host } from "../host.ts";

const SELF_TEST = Object.freeze({
  /** Everything is local; a busy machine takes two seconds. */
  timeoutMs: 15_000,
  /** The other identity needs an address to be a provider. */
  listen: ["/ip4/127.0.0.1/tcp/0"],
});

export interface SelfTestOptions {
  host: Host;
  events: EventSink;
  timeoutMs?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** Reports the result as an event and keeps it for the status. Rejects only when `signal` aborts. */
export async function selfTestDht(
  options: SelfTestOptions,
): Promise<DhtProbe | ShoalError> {
  const { host, events, signal } = options;
  let result: DhtProbe | ShoalError;
  try {
    result = await probeFromOutside(options);
  } catch (error) {
    signal?.throwIfAborted();
    result = ShoalError.from(error);
  }
  const passed = !(result instanceof ShoalError) && result.passed;
  host.dht.noteSelfTest(passed ? "passed" : "failed");
  const words = result instanceof ShoalError ? result.message : result.words;
  if (passed)
    events.info("DHT", `stores and answers: ${words}`, {
      tookMs: Math.round((result as DhtProbe).tookMs),
    });
  else
    events.error("DHT", `does not store and answer: ${words}`, {
      code: "DHT_SELF_TEST_FAILED",
      cause: result instanceof ShoalError ? result.code : undefined,
    });
  return result;
}

async function probeFromOutside(options: SelfTestOptions): Promise<DhtProbe> {
  const { host, timeoutMs = SELF_TEST.timeoutMs, signal } = options;
  const wait = { timeoutMs, signal };
  const addresses = host.addresses();
  if (addresses.length === 0)
    throw new ShoalError("DHT_SELF_TEST_FAILED", "it listens on no address");
  await using other = await createHost({
    listen: SELF_TEST.listen,
    dhtClient: true,
  });
  await other.start();
  await other.connect({ peerId: host.peerId, addresses }, wait);
  return await other.dht.probe(host.peerId, wait);
}
