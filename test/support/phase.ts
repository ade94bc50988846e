/**
 * The phases of a reply, each hit exactly: by what the processes tell of themselves (status, processor time, pieces of text), and the opening by
 * stopping another stage's engines for a moment, so that it lasts.
 *
 *     const attempt = await attemptIn("prefill", replicas, 1, 60_000, () => 1);   // its prompt is half way through stage 1
 *     const mend = await FAULTS["its node is killed"].strike(replicas, attempt);
 *     attempt.release();
 *     const { reply, refusal } = await attempt.ended;
 */
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { engineOf, type Victim } from "./fault.ts";
import { type Holder, type Replicas, statusOf } from "./replicas.ts";
import { type Ask, ask, Refusal, type Reply } from "./reply.ts";
import { until } from "./until.ts";

export const PHASES = [
  "opening",
  "first chunk",
  "prefill",
  "first token",
  "middle",
  "last token",
  "closing",
] as const;
export type Phase = (typeof PHASES)[number];

const REPLY_TOKENS = 24;
export const PROMPT_TOKENS = { short: 8, long: 1_536 } as const;
type Length = keyof typeof PROMPT_TOKENS;

/** The model that these requests are for: a long prompt takes seconds, in many chunks; all tokens but those banned below have a text. */
export const PHASE_MODEL = {
  layers: 3,
  embeddingLength: 1024,
  heads: 16,
  kvHeads: 4,
  feedForward: 8192,
  vocabSize: 512,
  vocab: "bytes",
  contextLength: 2_048,
  type: "Q8_0",
} as const;

/** The end of generation, and bytes of longer characters, whose time would not be seen. */
const BANNED = [0, 1, 2, ...Array.from({ length: 128 }, (_, i) => 131 + i)];

/** Each number is another text from its first token on. */
export function phaseAsk(
  number: number,
  length: Length,
  maxTokens: number = REPLY_TOKENS,
): Ask {
  return {
    prompt: Array.from(
      { length: PROMPT_TOKENS[length] },
      (_, i) => 260 + ((13 * number + 7 * i + (i >> 5)) % 200),
    ),
    max_tokens: maxTokens,
    temperature: 0,
    logit_bias: Object.fromEntries(BANNED.map((token) => [token, -100])),
  };
}

const LENGTH_OF: Record<Phase, Length> = {
  opening: "short",
  "first chunk": "long",
  prefill: "long",
  "first token": "short",
  middle: "short",
  "last token": "short",
  closing: "short",
};

/** How it ended: one of both. */
export interface Ended {
  reply?: Reply;
  refusal?: Refusal;
}

export interface Attempt extends Victim {
  how: Ask;
  ended: Promise<Ended>;
  /** Lets a phase that was held go on. */
  release: () => void;
}

/** Of each holder, before the request. */
type Before = ReadonlyMap<Holder, { pid: number; tokens: number }>;

/** Phases that the nodes' counts of tokens tell. */
const COUNTED: ReadonlySet<Phase> = new Set(["first chunk", "prefill"]);

const TRIES = 20;
/** Of processor time that only a chunk takes: an idle engine needs less until the chunk comes to it. In hundredths of a second. */
const CHUNK_TICKS = 2;
/** An engine keeps what it computed for itself for half a second at most (engine/loop.ts); so long without news, there is none. */
const UNTOLD_MS = 700;

/**
 * A request that is in that phase now, at stage `index` of its route. Must end within `deadlineMs`; then `ended` rejects. `next`
 * numbers the requests: none may go on from what another one left at the stages.
 */
export async function attemptIn(
  phase: Phase,
  replicas: Replicas,
  index: number,
  deadlineMs: number,
  next: () => number,
): Promise<Attempt> {
  for (let tries = 0; tries < TRIES; tries++) {
    const attempt = await tryIn(phase, replicas, index, deadlineMs, next);
    if (attempt !== undefined) return attempt;
  }
  throw new Error(`the phase "${phase}" was over each time`);
}

async function tryIn(
  phase: Phase,
  replicas: Replicas,
  index: number,
  deadlineMs: number,
  next: () => number,
): Promise<Attempt | undefined> {
  const before = await (COUNTED.has(phase) ? settled : measured)(replicas);
  const hold = new Hold();
  if (phase === "opening") hold.stop(...enginesOf(before, index + 1, replicas));
  try {
    const how = phaseAsk(next(), LENGTH_OF[phase]);
    const request = begin(replicas, how, deadlineMs);
    const route = await routeOf(replicas, request);
    const victim = route && replicas.holder(route[index]!);
    if (victim !== undefined && phase === "first chunk") {
      const { pid } = before.get(victim)!;
      if (await atWork(pid, request)) hold.stop(pid);
    }
    if (
      victim !== undefined &&
      (await reached(phase, victim, before, request))
    ) {
      if (phase === "first chunk") hold.release();
      const release = (): void => hold.release();
      return { route: route!, index, how, ended: request.ended, release };
    }
    hold.release();
    await request.ended;
    return undefined;
  } catch (error) {
    hold.release();
    throw error;
  }
}

/** Engines that are stopped for a moment, so that a phase lasts. */
class Hold {
  readonly #pids = new Set<number>();

  stop(...pids: readonly number[]): void {
    for (const pid of pids) {
      tell(pid, "SIGSTOP");
      this.#pids.add(pid);
    }
  }

  release(): void {
    for (const pid of this.#pids) tell(pid, "SIGCONT");
    this.#pids.clear();
  }
}

/** A node replaces an engine that a busy machine keeps from answering; then the phase is missed. */
function tell(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

interface Request {
  ended: Promise<Ended>;
  isOver: () => boolean;
  pieces: () => number;
  /** Resolves with the piece of that number, or the end. */
  piece: (count: number) => Promise<void>;
  finished: Promise<void>;
}

function begin(replicas: Replicas, how: Ask, deadlineMs: number): Request {
  let [pieces, isOver] = [0, false];
  const waiting = new Map<number, () => void>();
  const finished = Promise.withResolvers<void>();
  const ended = ask(replicas, how, {
    stream: true,
    signal: AbortSignal.timeout(deadlineMs),
    onPiece: (count) => {
      pieces = count;
      waiting.get(count)?.();
    },
    onFinish: finished.resolve,
  }).then(
    (reply): Ended => ({ reply }),
    (error: unknown): Ended => {
      if (error instanceof Refusal) return { refusal: error };
      throw error;
    },
  );
  const over = (): void => {
    isOver = true;
    for (const wake of waiting.values()) wake();
    finished.resolve();
  };
  ended.then(over, over);
  return {
    ended,
    isOver: () => isOver,
    pieces: () => pieces,
    piece: async (count) => {
      if (pieces >= count || isOver) return;
      await new Promise<void>((resolve) => waiting.set(count, resolve));
    },
    finished: finished.promise,
  };
}

/** Peers of the stages, once the request has a route; undefined if it was over before. */
async function routeOf(
  replicas: Replicas,
  { isOver }: Request,
): Promise<string[] | undefined> {
  const session = await replicas.session(
    ({ route }) => route.length === replicas.options.stages,
    isOver,
  );
  return session?.route.map(({ peer }) => peer);
}

/** Whether the phase was met, and not missed. */
async function reached(
  phase: Phase,
  victim: Holder,
  before: Before,
  request: Request,
): Promise<boolean> {
  const { tokens } = before.get(victim)!;
  const computed = async (): Promise<number> =>
    ((await statusOf(victim)).sessions?.tokens ?? 0) - tokens;
  switch (phase) {
    case "opening":
      await until("the stage to reserve a sequence", async () => {
        const { sessions } = await statusOf(victim);
        return (sessions?.active ?? 0) > 0 || request.isOver();
      });
      return request.pieces() === 0;
    case "first chunk":
      return (await computed()) === 0 && !request.isOver();
    case "prefill":
      await until(
        "half of the prompt to be computed",
        async () =>
          (await computed()) >= PROMPT_TOKENS.long / 3 || request.isOver(),
        10,
      );
      return request.pieces() === 0 && !request.isOver();
    case "first token":
      await request.piece(1);
      return !request.isOver();
    case "middle":
      await request.piece(REPLY_TOKENS / 2);
      return !request.isOver();
    case "last token":
      await request.piece(REPLY_TOKENS - 1);
      return !request.isOver();
    case "closing":
      await request.finished;
      return true;
    default:
      return phase satisfies never;
  }
}

/** Of all holders of a stage, counted in a ring. */
function enginesOf(
  before: Before,
  stage: number,
  { options, holders }: Replicas,
): number[] {
  return holders.flatMap((holder) =>
    holder.stage === stage % options.stages
      ? (before.get(holder)?.pid ?? [])
      : [],
  );
}

/** Once that engine computes its chunk, which takes it a few more of these; false if the request was over before. */
async function atWork(pid: number, { isOver }: Request): Promise<boolean> {
  const startTicks = ticksOf(pid);
  let isWorking = false;
  await until(
    "the first chunk to be computed",
    () => {
      isWorking = ticksOf(pid) - startTicks >= CHUNK_TICKS;
      return isWorking || isOver();
    },
    1,
  );
  return isWorking;
}

/** Once the nodes have heard of all that their engines computed before. */
async function settled(replicas: Replicas): Promise<Before> {
  let before = await measured(replicas);
  for (;;) {
    await pause(UNTOLD_MS);
    const now = await measured(replicas);
    const isSame = [...now].every(
      ([holder, { tokens }]) => before.get(holder)?.tokens === tokens,
    );
    before = now;
    if (isSame) return before;
  }
}

async function measured({ holders }: Replicas): Promise<Before> {
  return new Map(
    await Promise.all(
      holders.map(async (holder) => {
        const pid = engineOf(holder.member.pid);
        const { sessions } = await statusOf(holder);
        const tokens = sessions?.tokens ?? 0;
        return [holder, { pid, tokens }] as const;
      }),
    ),
  );
}

/** Processor time in hundredths of a second; NaN if it has ended. */
function ticksOf(pid: number): number {
  const path = `/proc/${pid}/stat`;
  const stat = existsSync(path) ? readFileSync(path, "utf8") : "";
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}
