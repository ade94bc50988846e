/** The transfer thread, but it dies when told: by an error that nothing catches. Told on the channel named as its state's folder. */
import { workerData } from "node:worker_threads";
import type { TransferOptions } from "../../src/transfer/transfer.ts";

const { store } = workerData as TransferOptions;
const channel = new BroadcastChannel(store.stateDir);
channel.addEventListener("message", () => {
  throw new Error("told to die");
});
channel.unref();
await import("../../src/transfer/transfer-worker.ts");
