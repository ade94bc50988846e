/**
 * Engines joined to a ring without nodes around them: what passes through nodes otherwise passes through here, and data connections may take a
 * detour through a relay of the test.
 */
import { randomBytes } from "node:crypto";
import {
  EngineHost,
  OWN_LINK,
  parseSampling,
  type SamplingOptions,
  StageEngine,
  type StageEngineOptions,
  Target,
} from "../../src/engine/index.ts";
import {
  decodeFrame,
  decodeTimes,
  encodeFrame,
  FrameType,
  Flag,
  ringKeys,
  type RingKeys,
  type StageTimes,
} from "../../src/ring/index.ts";

export interface RingOptions {
  /** The shards' files, in order. */
  paths: readonly string[];
  engine?: Partial<StageEngineOptions>;
  /** False: by node's event loop. */
  sockets?: boolean;
  /** All in one process. */
  within?: boolean;
}

export interface Reply {
  tokens: number[];
  finish: number;
}

interface Session {
  handle: number;
  id: string;
  promptTokens: number;
  tokens: number[];
  done: PromiseWithResolvers<Reply>;
  /** Told of each token. */
  onToken: (count: number) => void;
}

export class EngineRing implements AsyncDisposable {
  readonly engines: StageEngine[];
  /** Of each engine: how many frames left through the node, by Target. */
  readonly relayed: number[][];
  /** Links of which engines told that they are direct. */
  readonly direct: boolean[];
  /** Of each engine: tokens that shared a decode. */
  readonly sharedTokens: number[] = [];
  /** What each stage told last of where its time goes. */
  readonly times: StageTimes[] = [];
  readonly #sessions = new Map<number, Session>();
  #lastHandle = 0;
  #onLink: (() => void) | undefined;
  readonly #within: boolean;

  private constructor(engines: StageEngine[], within: boolean) {
    this.engines = engines;
    this.#within = within;
    this.relayed = engines.map(() => [0, 0, 0]);
    this.direct = engines.map(() => false);
  }

  static async start({
    paths,
    engine,
    sockets,
    within = false,
  }: RingOptions): Promise<EngineRing> {
    const one = new EngineHost({ sockets });
    const engines = paths.map(
      (path) =>
        new StageEngine({
          path,
          contextLength: 256,
          sessions: 2,
          threads: 1,
          host: within ? one : new EngineHost({ sockets }),
          ...engine,
        }),
    );
    const ring = new EngineRing(engines, within);
    await Promise.all(engines.map((each) => each.start()));
    for (const [index, each] of engines.entries())
      each.listen({
        onFrame: (handle, target, frame) =>
          ring.#onFrame(index, handle, target, frame),
        onEvent: (event) => {
          // Link n + 1 leads from engine n to the next one.
          if (event.type === "link" && event.link === index + 1) {
            ring.direct[index] = event.direct;
            ring.#onLink?.();
          }
          if (event.type === "stats")
            ring.sharedTokens[index] = event.sharedTokens;
          if (event.type === "failed")
            ring.#sessions
              .get(event.handle >> 8)
              ?.done.reject(new Error(JSON.stringify(event.error)));
        },
      });
    return ring;
  }

  /** Joins each engine to the next by a data connection; `through` gives the port that is dialled instead of the engine's. */
  async connect(
    through: (port: number) => Promise<number> = (port) =>
      Promise.resolve(port),
  ): Promise<void> {
    const { length } = this.engines;
    for (const [index, engine] of this.engines.entries()) {
      const next = this.engines[(index + 1) % length]!;
      const connection = randomBytes(16);
      const sides = {
        connection,
        dialer: { peer: `engine ${index}`, secret: randomBytes(32) },
        listener: { peer: "the next", secret: randomBytes(32) },
      };
      const common = {
        link: index + 1,
        connection: connection.toString("base64"),
      };
      const port = await next.expectConnection({
        ...common,
        keys: textOf(ringKeys({ ...sides, isDialer: false })),
        host: "127.0.0.1",
        port: 0,
      });
      await engine.dialConnection({
        ...common,
        keys: textOf(ringKeys({ ...sides, isDialer: true })),
        host: "127.0.0.1",
        port: await through(port),
        timeoutMs: 5_000,
      });
    }
    await this.until(() => this.direct.every(Boolean));
  }

  /** Waits for a state of the links. */
  async until(reached: () => boolean): Promise<void> {
    const late = AbortSignal.timeout(30_000);
    while (!reached()) {
      late.throwIfAborted();
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onLink = resolve;
      const timer = setTimeout(resolve, 200);
      await promise;
      clearTimeout(timer);
    }
  }

  /** Opens a session, sends the prompt, and resolves with the reply. */
  async generate(options: {
    prompt: readonly number[];
    maxTokens: number;
    credit?: number;
    sequence?: number;
    /** Of the prompt, as the gateway sends them; default: one. */
    chunks?: readonly number[];
    sampling?: Partial<SamplingOptions>;
    onToken?: (count: number) => void;
  }): Promise<Reply> {
    const session = await this.open(options);
    const reply = await session.done.promise;
    await this.close(session.handle);
    return reply;
  }

  async open(options: {
    prompt: readonly number[];
    maxTokens: number;
    credit?: number;
    sequence?: number;
    /** Of the prompt, as the gateway sends them; default: one. */
    chunks?: readonly number[];
    sampling?: Partial<SamplingOptions>;
    onToken?: (count: number) => void;
  }): Promise<Session> {
    const { prompt, maxTokens } = options;
    const handle = ++this.#lastHandle;
    const session: Session = {
      handle,
      id: randomBytes(16).toString("hex"),
      promptTokens: prompt.length,
      tokens: [],
      done: Promise.withResolvers(),
      onToken: options.onToken ?? (() => {}),
    };
    session.done.promise.catch(() => {});
    this.#sessions.set(handle, session);
    const stages = this.engines.length;
    for (const [index, engine] of this.engines.entries())
      await engine.openSession({
        handle: handleAt(handle, index),
        session: session.id,
        index,
        stages,
        sequence: options.sequence ?? (handle - 1) % engine.sessions,
        promptTokens: prompt.length,
        known: Buffer.from(Int32Array.from(prompt).buffer).toString("base64"),
        maxTokens,
        credit: options.credit ?? maxTokens,
        ...(index === stages - 1 && {
          sampling: parseSampling({
            temperature: 0,
            logitBias: [[2, -100]],
            ...options.sampling,
          }),
        }),
        ...(stages > 1 && {
          previous: this.#within
            ? OWN_LINK
            : ((index + stages - 1) % stages) + 1,
          next: this.#within ? OWN_LINK : index + 1,
        }),
      });
    let position = 0;
    for (const length of options.chunks ?? [prompt.length]) {
      const chunk = prompt.slice(position, position + length);
      this.send(session, FrameType.Prompt, 0, chunk, length, position);
      position += length;
    }
    return session;
  }

  /** A frame of the gateway. */
  send(
    session: Session,
    type: FrameType,
    stage: number,
    tokens: readonly number[],
    count = tokens.length,
    position = 0,
  ): void {
    const isWhole = position + count >= session.promptTokens;
    const frame = encodeFrame(
      {
        type,
        flags: isWhole ? Flag.Sample : 0,
        stage,
        position,
        count,
        elapsedUs: 0,
        session: session.id,
      },
      new Uint8Array(Int32Array.from(tokens).buffer),
    );
    const at = handleAt(session.handle, stage);
    this.engines[stage]!.sendFrame(at, frame);
  }

  /** To all sessions. */
  giveCredit(tokens: number): void {
    for (const session of this.#sessions.values())
      this.send(session, FrameType.Credit, this.engines.length - 1, [], tokens);
  }

  async close(handle: number): Promise<void> {
    this.#sessions.delete(handle);
    await Promise.all(
      this.engines.map((each, index) =>
        each.closeSession(handleAt(handle, index)),
      ),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.engines.map((each) => each.stop()));
  }

  #onFrame(
    index: number,
    handle: number,
    target: Target,
    bytes: Uint8Array,
  ): void {
    this.relayed[index]![target]!++;
    const { length } = this.engines;
    const session = handle >> 8;
    const to =
      target === Target.Next
        ? (index + 1) % length
        : (index + length - 1) % length;
    if (target === Target.Gateway) this.#onGateway(session, bytes);
    else this.engines[to]!.sendFrame(handleAt(session, to), bytes);
  }

  #onGateway(handle: number, bytes: Uint8Array): void {
    const session = this.#sessions.get(handle);
    const frame = decodeFrame(bytes);
    if (frame.type === FrameType.Times)
      this.times[frame.stage] = decodeTimes(frame.body);
    if (session === undefined || frame.type !== FrameType.Token) return;
    if (frame.position !== session.promptTokens + session.tokens.length)
      session.done.reject(
        new Error(`token of position ${frame.position} came out of order`),
      );
    session.tokens.push(Buffer.from(frame.body).readInt32LE(0));
    session.onToken(session.tokens.length);
    if (frame.flags !== 0)
      session.done.resolve({ tokens: session.tokens, finish: frame.flags });
  }
}

/** Sessions of one process have names of their own at each stage. */
function handleAt(session: number, stage: number): number {
  return session * 256 + stage;
}

function textOf(keys: RingKeys): Record<keyof RingKeys, string> {
  const text = (bytes: Uint8Array): string =>
    Buffer.from(bytes).toString("base64");
  return {
    sendKey: text(keys.sendKey),
    sendSalt: text(keys.sendSalt),
    receiveKey: text(keys.receiveKey),
    receiveSalt: text(keys.receiveSalt),
  };
}
