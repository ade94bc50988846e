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
  type Op,
} from "./channel.ts";
import { nativeReason } from "./native-log.ts";

const CHILD = fileURLToPath(programOf("child", import.meta.url));
/** Last lines of the engine's stderr kept for the error that tells of its death: a backtrace may follow its reason. */
const LOG_LINES_KEPT = 64;
/** A child whose channel is closed ends at once, unless it is inside a long decode. */
const STOP_GRACE_MS = 1_000;

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
  timeoutMs: number;
  onProgress?: (fraction: number) => void;
}

interface Pending {
  resolve(body: Uint8Array): void;
  reject(error: ShoalError): void;
  onProgress: ((fraction: number) => void) | undefined;
  rearm(): void;
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

  constructor() {
    this.#child = spawn(process.execPath, ["--max-semi-space-size=16", CHILD], {
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
    this.exited = new Promise((resolve) => {
      const end = (error: ShoalError): void => {
        this.#gone ??= error;
        for (const pending of this.#pending.values())
          pending.reject(this.#gone);
        this.#pending.clear();
        resolve(this.#gone);
      };
      this.#child.on("error", (error) =>
        end(
          new ShoalError(
            "ENGINE_DIED",
            `the engine could not start: ${error.message}`,
            {},
            error,
          ),
        ),
      );
      this.#child.on("close", (code, signal) => {
        const how =
          signal === null ? `exit status ${code}` : `signal ${signal}`;
        const reason = nativeReason(this.#log);
        end(
          new ShoalError(
            "ENGINE_DIED",
            `the engine died (${how})${reason === undefined ? "" : `: ${reason}`}`,
            { pid: this.pid, reason, log: this.#log },
          ),
        );
      });
    });
  }

  get alive(): boolean {
    return this.#gone === undefined;
  }

  /** Sends one request and returns the reply's body. Rejects with the child's error, ENGINE_DIED, or DEADLINE (which kills the child). */
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
      const expire = (): void => {
        this.#gone = new ShoalError(
          "DEADLINE",
          `the engine gave no answer within ${options.timeoutMs} ms`,
          { pid: this.pid },
        );
        this.#child.kill("SIGKILL");
      };
      let timer = setTimeout(expire, options.timeoutMs);
      this.#pending.set(id, {
        resolve: (body) => {
          clearTimeout(timer);
          resolve(body);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
        onProgress: options.onProgress,
        rearm: () => {
          clearTimeout(timer);
          timer = setTimeout(expire, options.timeoutMs);
        },
      });
      let length = 0;
      for (const part of parts) length += part.length;
      this.#socket.cork();
      this.#socket.write(encodeHeader(op, id, length));
      for (const part of parts) this.#socket.write(part);
      this.#socket.uncork();
    });
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
      () => this.#child.kill("SIGKILL"),
      () => false,
    );
    await this.exited;
    forced.abort();
    await kill;
  }

  /** Ends the child now. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #onData(chunk: Buffer): void {
    try {
      this.#parser.push(chunk, (frame) => this.#onFrame(frame));
    } catch (error) {
      this.#gone = isShoalError(error) ? error : ShoalError.from(error);
      this.#child.kill("SIGKILL");
    }
  }

  #onFrame(frame: Frame): void {
    const pending = this.#pending.get(frame.id);
    if (pending === undefined) return;
    if (frame.op === Kind.Progress) {
      pending.rearm(); // a load that makes progress is not late
      pending.onProgress?.(floatsOf(frame.body)[0] ?? 0);
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
