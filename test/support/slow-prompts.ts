/** Replies of a model whose prompts take seconds, in two stages, and the engine that is in the middle of one. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { engineOf } from "./fault.ts";
import { midReply } from "./mid-reply.ts";
import { writeRandomModel } from "./models.ts";
import { type Holder, Replicas, statusOf } from "./replicas.ts";
import { type Ask, ask, type Reply } from "./reply.ts";
import { until } from "./until.ts";

export const STAGES = 2;
const HANG_MS = 180_000;
const TRIES = 20;
/** Thirty chunks at each stage. */
const PROMPT = Array.from({ length: 3_840 }, (_, i) => 3 + ((i * 37) % 250));
export const SHORT: Ask = {
  prompt: PROMPT.slice(0, 20),
  max_tokens: 800,
  temperature: 1,
  seed: 3,
  logit_bias: { "2": -100 }, // the end of generation
};

let prompts = 0;

/** None begins like another: all of it has to be computed. */
function long(): Ask {
  return { ...SHORT, prompt: [3 + ++prompts, ...PROMPT], max_tokens: 40 };
}

interface Undo {
  after: (undo: () => Promise<void>) => void;
}

/** Its file, removed after the tests. */
export async function slowModel(t: Undo): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "shoal-test-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, "model.gguf");
  await writeRandomModel(path, {
    layers: 4,
    embeddingLength: 1024,
    heads: 8,
    kvHeads: 4,
    feedForward: 2048,
    contextLength: 4096,
    type: "Q8_0",
    vocab: "bytes",
  });
  return path;
}

/** Two holders of each stage, and what they must answer. */
export class SlowSwarm {
  readonly replicas: Replicas;
  readonly #undisturbed: Replicas;
  readonly #short: Promise<Reply>;

  private constructor(replicas: Replicas, undisturbed: Replicas) {
    this.replicas = replicas;
    this.#undisturbed = undisturbed;
    this.#short = streamed(undisturbed, SHORT);
    this.#short.catch(() => {}); // whoever waits for it hears of it
  }

  static async start(t: Undo): Promise<SlowSwarm> {
    const model = await slowModel(t);
    const options = { stages: STAGES, holders: 2, model };
    return new SlowSwarm(
      await Replicas.start(t, options),
      await Replicas.undisturbed(t, model),
    );
  }

  async expected(how: Ask): Promise<Reply> {
    return await (how === SHORT
      ? this.#short
      : streamed(this.#undisturbed, how));
  }
}

/** The holder of a stage, in whose engine the session is. */
export interface Victim {
  victim: Holder;
  engine: number;
}

export interface Running extends Victim {
  how: Ask;
  reply: Promise<Reply>;
}

async function streamed(replicas: Replicas, how: Ask): Promise<Reply> {
  const signal = AbortSignal.timeout(HANG_MS);
  return await ask(replicas, how, { stream: true, signal });
}

/** A reply that has some of its tokens. */
export async function inReply(
  replicas: Replicas,
  stage: number,
): Promise<Running> {
  const { reply, session } = await midReply(
    replicas,
    () => streamed(replicas, SHORT),
    ({ tokens }) => tokens >= 20,
  );
  const found = victimOf(replicas, session.route[stage]!.peer);
  return { how: SHORT, reply, ...found };
}

/** A reply of whose long prompt that stage has computed a part. One whose prompt was too fast for that is asked for again. */
export async function inPrompt(
  replicas: Replicas,
  stage: number,
): Promise<Running> {
  for (let tries = 0; tries < TRIES; tries++) {
    const before = new Map<Holder, number>();
    for (const holder of replicas.holders)
      before.set(holder, await computedBy(holder));
    const how = long();
    const reply = streamed(replicas, how);
    reply.catch(() => {});
    const session = await replicas.session(({ route }) => route.length > 0);
    const found = victimOf(replicas, session!.route[stage]!.peer);
    let tokens = 0;
    await until(
      "the prompt to be computed in part",
      async () => {
        const now = await computedBy(found.victim);
        tokens = now - before.get(found.victim)!;
        return tokens > 0;
      },
      20,
    );
    if (tokens < PROMPT.length / 2) return { how, reply, ...found };
    await reply;
  }
  throw new Error("each prompt was over too soon");
}

/** Tokens, so far. */
export async function computedBy(holder: Holder): Promise<number> {
  return (await statusOf(holder)).sessions!.tokens;
}

function victimOf(replicas: Replicas, peer: string): Victim {
  const victim = replicas.holder(peer);
  return { victim, engine: engineOf(victim.member.pid) };
}

/** All is well again, with another engine. */
export async function replaced(
  replicas: Replicas,
  { victim, engine }: Victim,
): Promise<void> {
  await until("another engine", () => {
    try {
      return engineOf(victim.member.pid) !== engine;
    } catch {
      return false; // none for a moment
    }
  });
  await replicas.whole();
}
