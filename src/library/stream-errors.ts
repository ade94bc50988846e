/**
 * js-libp2p raises some errors of closing streams where nobody can catch them (network's isStreamError). They end that stream and nothing
 * else: the program that uses the library must not die of them. Every other uncaught error is left to that program, as if this were not here.
 */
import type { EventSink } from "../lib/index.ts";
import { isStreamError } from "../network/index.ts";

const told = new Set<EventSink>();
let isListening = false;

/** Returns the function that ends the telling; streams may still close after it, so the ear stays. */
export function surviveStreamErrors(events: EventSink): () => void {
  told.add(events);
  if (!isListening) process.on("uncaughtException", onUncaught);
  isListening = true;
  return () => told.delete(events);
}

function onUncaught(error: Error): void {
  if (error instanceof Error && isStreamError(error)) {
    const { message, stack } = error;
    for (const events of told)
      events.warn("PROCESS", `uncaught error of a stream: ${message}`, {
        stack,
      });
    return;
  }
  // The program's own listener decides, where it has one.
  if (process.listenerCount("uncaughtException") > 1) return;
  process.off("uncaughtException", onUncaught);
  setImmediate(() => {
    throw error;
  });
}
