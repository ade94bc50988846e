/** The transfer thread: obeys the main thread and reports to it. Started by transfer-thread.ts, never imported. */
import { readlinkSync } from "node:fs";
import { setPriority } from "node:os";
import { parentPort, workerData } from "node:worker_threads";
import { Events, ShoalError } from "../lib/index.ts";
import { isStreamError } from "../network/index.ts";
import { ContentChanges } from "./content-changes.ts";
import type { FromWorker, Question, ToWorker } from "./transfer-messages.ts";
import { LocalTransfer, type TransferOptions } from "./transfer.ts";

/** While pieces arrive, the list changes dozens of times a second; the main thread gets updates this often. */
const TELL_MS = 100;

/** If processors are scarce, token computation gets nine tenths of one (Linux: nice 10 against 0). */
const NICENESS = 10;

const port = parentPort ?? notAThread();
const tell = (message: FromWorker): void => port.postMessage(message);

process.on("uncaughtException", (error) => {
  if (isStreamError(error)) {
    const { message, stack } = error;
    events.warn("TORRENT", `uncaught error of a stream: ${message}`, { stack });
    return;
  }
  tell({ uncaught: error.stack ?? error.message });
  process.exit(1); // of the thread
});

const events = new Events();
events.subscribe((event) => tell({ event }));
yieldToTokens();
const transfer = await LocalTransfer.create(
  workerData as TransferOptions,
  events,
);
const changes = new ContentChanges();
const downloads = new Map<number, AbortController>();
let telling: NodeJS.Timeout | undefined;
transfer.onChange(() => {
  telling ??= setTimeout(tellContents, TELL_MS);
});

port.on("message", (message: ToWorker) => {
  if (!("id" in message)) {
    order(message);
    return;
  }
  answer(message).then(
    (value) => tell({ id: message.id, value }),
    (error: unknown) =>
      tell({ id: message.id, error: ShoalError.from(error).toObject() }),
  );
});

function order(message: Exclude<ToWorker, Question>): void {
  switch (message.op) {
    case "abort":
      downloads.get(message.download)?.abort();
      return;
    case "source":
      transfer.addSource(message.root, message.spec);
      return;
    case "limits":
      transfer.setLimits(message.limits);
      return;
    case "primary":
      transfer.setPrimary(message.paths);
      return;
    default:
      transfer.setAllowed(message.peers);
  }
}

async function answer(question: Question): Promise<unknown> {
  switch (question.op) {
    case "start":
      await transfer.start();
      return transfer.endpoint();
    case "index":
      await transfer.index();
      tell({ all: changes.all(transfer.list()) });
      return undefined;
    case "download":
      return await download(question);
    case "stats":
      return await transfer.stats();
    default:
      clearTimeout(telling);
      await transfer.stop();
      // Our code is done; whatever native code still holds does not keep the thread alive.
      setImmediate(() => port.close());
      return undefined;
  }
}

async function download(
  question: Extract<Question, { op: "download" }>,
): Promise<string> {
  const { id, order: options } = question;
  const controller = new AbortController();
  downloads.set(id, controller);
  try {
    return await transfer.download({
      ...options,
      signal: controller.signal,
      onProgress: (progress) => tell({ progress, download: id }),
    });
  } finally {
    downloads.delete(id);
    // Once the path is returned, the next caller finds the content.
    tellContents();
  }
}

function tellContents(): void {
  clearTimeout(telling);
  telling = undefined;
  const { contents, gone } = changes.since(transfer.list());
  if (contents.length + gone.length > 0) tell({ contents, gone });
}

/** Only Linux has a priority per thread. */
function yieldToTokens(): void {
  try {
    const thread = readlinkSync("/proc/thread-self").split("/").at(-1);
    setPriority(Number(thread), NICENESS);
  } catch {
    // Elsewhere it keeps the normal one.
  }
}

function notAThread(): never {
  throw new ShoalError("INTERNAL", "this is no thread");
}
