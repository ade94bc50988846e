/** The transfer thread: does what the main thread says, tells it what happens. Started by transfer-thread.ts, never imported. */
import { parentPort, workerData } from "node:worker_threads";
import { Events, ShoalError } from "../lib/index.ts";
import type { FromWorker, Question, ToWorker } from "./transfer-messages.ts";
import { LocalTransfer, type TransferOptions } from "./transfer.ts";
import type { Content } from "./types.ts";

/** While pieces come, the list changes by the dozen a second; the main thread hears of it this often. */
const TELL_MS = 100;

const port = parentPort ?? notAThread();
const tell = (message: FromWorker): void => port.postMessage(message);

const events = new Events();
events.subscribe((event) => tell({ event }));
const transfer = await LocalTransfer.create(
  workerData as TransferOptions,
  events,
);
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
      tellContents();
      return undefined;
    case "download":
      return await download(question);
    case "stats":
      return await transfer.stats();
    default:
      await transfer.stop();
      clearTimeout(telling);
      // Nothing of ours runs any more; what native code may still hold does not keep the thread.
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
    // The path is there: so is the content, for whoever asks next.
    tellContents();
  }
}

function tellContents(): void {
  clearTimeout(telling);
  telling = undefined;
  tell({ contents: transfer.list().map(withoutHashes) });
}

function withoutHashes(content: Content): Content {
  const { metadata } = content;
  const pieceHashes = new Uint8Array(0);
  return { ...content, metadata: { ...metadata, pieceHashes } };
}

function notAThread(): never {
  throw new ShoalError("INTERNAL", "this is no thread");
}
