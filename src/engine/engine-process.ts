/**
 * The parent's side of an engine: starts the child process, sends requests, and turns its death into errors. The child handles one request
 * at a time; more wait in its socket, in order.
 */
import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { isShoalError, programOf, ShoalError, sleep } from "../lib/index.ts";
import {
  encodeHeader,
  type Frame,
  FrameParser,
  floatsOf,
  Kind,
  Op,
} from "./channel.ts";
import { nativeReason } from "./native-log.ts";
import { Pulse, PULSE_DEFAULTS } from "./pulse.ts";
import { oomKills, type Vitals, vitalsOf } from "./vitals.ts";

const CHILD = fileURLToPath(programOf("child", import.meta.url));
/** Last lines of the engine's stderr kept for the error that tells of its death: a backtrace may follow its reason. */
const LOG_LINES_KEPT = 64;
/** A child whose channel is closed ends at once, unless it is inside a long decode. */
const STOP_GRACE_MS = 1_000;
/** A killed child is gone at once, unless the system holds it: then it counts as gone. */
const KILL_GRACE_MS = 5_000;

/**
 * Libraries for graphics cards join operations into one kernel where a graph allows it, which sums in another order. At a border a graph
 * ends, so a stage would join others than the whole model does: by `shoal verify`, the last bits then differ.
 */
const WITHOUT_FUSION = {
  GGML_CUDA_DISABLE_FUSION: "1",
  GGML_METAL_FUSION_DISABLE: "1",
  GGML_VK_DISABLE_FUSION: "1",
};

export interface RequestOptions {
  /** Counted only while this process is awake itself. */
  timeoutMs: number;
  /** The answer takes nothing but the processor: a child that owes it and computes nothing is stuck. */
  takesOnlyCpu?: boolean;
  onProgress?: (fraction: number) => void;
}

const FAULTS = {
  stopped: "the engine is stopped by a signal from outside, and was so for 3 s",
  stuck: "the engine hangs: it owes an answer, and computed nothing for 10 s",
};

interface Pending {
  readonly op: Op;
  resolve(body: Uint8Array): void;
  reject(error: ShoalError): void;
  readonly options: RequestOptions;
  /** When it was asked, or last made progress. */
  sinceMs: number;
  leftMs: number;
}

export interface EngineProcessOptions {
  /** What the child says by itself: frames of sessions and events. */
  onMessage?: (frame: Frame) => void;
  /** False: it uses node's event loop. */
  sockets?: boolean | undefined;
  /** How it is watched; default: as far as the system tells. */
  vitals?: (pid: number) => Vitals | undefined;
}

export class EngineProcess implements AsyncDisposable {
  readonly pid: number;
  /** Resolves with the reason once the child is gone. Never rejects. */
  readonly exited: Promise<ShoalError>;
  #child: ChildProcess;
  #socket: Socket;
  #parser = new FrameParser();
  #pending = new Map<number, Pending>();
  #nextId = 1;
  #log: string[] = [];
  #gone: ShoalError | undefined;
  /** The same for whoever had nothing to do with it. */
  #told: ShoalError | undefined;
  readonly #onMessage: (frame: Frame) => void;
  readonly #vitals: (pid: number) => Vitals | undefined;
  readonly #pulse = new Pulse(performance.now());
  readonly #ended = Promise.withResolvers<ShoalError>();

  constructor(options: EngineProcessOptions = {}) {
    const { onMessage = () => {}, sockets = true } = options;
    this.#onMessage = onMessage;
    this.#vitals = options.vitals ?? vitalsOf;
    const oomKillsBefore = oomKills();
    const flags = sockets ? [] : ["--no-sockets"];
    const args = ["--max-semi-space-size=16", CHILD, ...flags];
    this.#child = spawn(process.execPath, args, {
      stdio: ["ignore", "ignore", "pipe", "pipe"],
      windowsHide: true,
      env: { ...process.env, ...WITHOUT_FUSION },
    });
    this.pid = this.#child.pid ?? -1;
    this.#socket = this.#child.stdio[3] as Socket;
    this.#socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    this.#socket.on("error", () => {}); // EPIPE and the like: the exit event tells the reason
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#log = [
        ...this.#log,
        ...text.split("\n").filter((line) => line.trim() !== ""),
      ].slice(-LOG_LINES_KEPT);
    });
    this.exited = this.#ended.promise;
    this.#child.on("error", (error) => {
      const what = `the engine could not start: ${error.message}`;
      this.#end(new ShoalError("ENGINE_DIED", what, {}, error));
    });
    this.#child.on("close", (code, signal) => {
      const how = signal === null ? `exit status ${code}` : `signal ${signal}`;
      const isOutOfMemory = signal === "SIGKILL" && oomKills() > oomKillsBefore;
      const reason = isOutOfMemory
        ? "the system ended it, probably for want of memory"
        : nativeReason(this.#log);
      const what = `the engine died (${how})${reason === undefined ? "" : `: ${reason}`}`;
      const { pid } = this;
      const log = this.#log;
      const details = { pid, signal: signal ?? "", isOutOfMemory, reason, log };
      this.#end(new ShoalError("ENGINE_DIED", what, details));
    });
    const beat = setInterval(() => this.#beat(), PULSE_DEFAULTS.everyMs);
    beat.unref();
    void this.exited.then(() => clearInterval(beat));
  }

  get alive(): boolean {
    return this.#gone === undefined;
  }

  /** It computes, or waits for a disk, as far as the system tells. */
  get isBusy(): boolean {
    return this.#pulse.isBusy;
  }

  /** Sends one request and returns the reply's body. Rejects with the child's error, ENGINE_DIED, ENGINE_HUNG or DEADLINE (which kill the child). */
  request(
    op: Op,
    parts: readonly Uint8Array[],
    options: RequestOptions,
  ): Promise<Uint8Array> {
    const gone = this.#gone;
    if (gone !== undefined) return Promise.reject(gone);
    const id = this.#nextId;
    this.#nextId = (this.#nextId % 0xffffffff) + 1;
    return new Promise((resolve, reject) => {
      const [sinceMs, leftMs] = [performance.now(), options.timeoutMs];
      this.#pending.set(id, { op, resolve, reject, options, sinceMs, leftMs });
      let length = 0;
      for (const part of parts) length += part.length;
      this.#socket.cork();
      this.#socket.write(encodeHeader(op, id, length));
      for (const part of parts) this.#socket.write(part);
      this.#socket.uncork();
    });
  }

  /** Sends what is not answered. A child that is gone gets nothing. */
  post(op: Op, id: number, body: Uint8Array): void {
    if (this.#gone !== undefined) return;
    this.#socket.cork();
    this.#socket.write(encodeHeader(op, id, body.length));
    this.#socket.write(body);
    this.#socket.uncork();
  }

  async requestJson<T>(
    op: Op,
    value: unknown,
    options: RequestOptions,
  ): Promise<T> {
    const body = await this.request(
      op,
      [Buffer.from(JSON.stringify(value))],
      options,
    );
    return JSON.parse(Buffer.from(body).toString()) as T;
  }

  /** Ends the child: by closing its channel, then by force. Resolves when it is gone. */
  async stop(): Promise<void> {
    this.#socket.end();
    const forced = new AbortController();
    const kill = sleep(STOP_GRACE_MS, forced.signal).then(
      () => this.kill(),
      () => {},
    );
    await this.exited;
    forced.abort();
    await kill;
  }

  /** Ends the child now: also one that is stopped. */
  kill(): void {
    this.#child.kill("SIGKILL");
    setTimeout(() => {
      const what = "the engine was killed, and the system does not end it";
      this.#end(new ShoalError("ENGINE_DIED", what, { pid: this.pid }));
    }, KILL_GRACE_MS).unref();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #onData(chunk: Buffer): void {
    try {
      this.#parser.push(chunk, (frame) => this.#onFrame(frame));
    } catch (error) {
      this.#giveUp(isShoalError(error) ? error : ShoalError.from(error));
    }
  }

  /** Its deadlines, and whether it is alive at all. */
  #beat(): void {
    // It answers in order, so only the first may have begun.
    const [first] = this.#pending.values();
    const owes = first?.options.takesOnlyCpu === true;
    const nowMs = performance.now();
    const vitals = this.#vitals(this.pid);
    const { elapsedMs, fault } = this.#pulse.beat(nowMs, vitals, owes);
    const details = { pid: this.pid, fault };
    if (fault !== undefined)
      this.#giveUp(new ShoalError("ENGINE_HUNG", FAULTS[fault], details));
    for (const pending of this.#pending.values()) {
      pending.leftMs -= Math.min(elapsedMs, nowMs - pending.sinceMs);
      if (pending.leftMs > 0) continue;
      const what = `the engine gave no answer within ${pending.options.timeoutMs} ms`;
      this.#giveUp(new ShoalError("DEADLINE", what, details));
    }
  }

  /** Nobody waits for its end. */
  #giveUp(error: ShoalError): void {
    if (this.#gone !== undefined) return;
    this.#fail(error);
    this.kill();
  }

  #end(error: ShoalError): void {
    this.#fail(error);
    this.#ended.resolve(this.#told ?? error);
  }

  /** What has failed it first is the reason of all that follows. */
  #fail(error: ShoalError): void {
    if (this.#gone !== undefined) return;
    this.#gone = error;
    const [first, ...others] = this.#pending.values();
    // All else that the process did ends through no fault of its own.
    const told = first?.op === Op.LoadStage ? othersFault(error) : error;
    this.#told = told;
    first?.reject(error);
    for (const pending of others) pending.reject(told);
    this.#pending.clear();
  }

  #onFrame(frame: Frame): void {
    if (frame.op === Kind.Frame || frame.op === Kind.Event) {
      this.#onMessage(frame);
      return;
    }
    const pending = this.#pending.get(frame.id);
    if (pending === undefined) return;
    if (frame.op === Kind.Progress) {
      // A load that makes progress is not late, and neither is what waits behind it.
      for (const one of this.#pending.values()) {
        one.sinceMs = performance.now();
        one.leftMs = one.options.timeoutMs;
      }
      pending.options.onProgress?.(floatsOf(frame.body)[0] ?? 0);
      return;
    }
    this.#pending.delete(frame.id);
    if (frame.op === Kind.Error)
      pending.reject(
        ShoalError.fromObject(JSON.parse(Buffer.from(frame.body).toString())),
      );
    else pending.resolve(frame.body);
  }
}

function othersFault({
  code,
  message,
  details,
  cause,
}: ShoalError): ShoalError {
  const marked = { ...details, isOthersFault: true };
  return new ShoalError(code, message, marked, cause);
}
