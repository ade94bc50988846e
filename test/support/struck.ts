/** One cell of the table: a fault in a phase of a reply, how that ended, and that nothing is left of it. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { engineOf, type FaultName, FAULTS } from "./fault.ts";
import { Lateness } from "./lateness.ts";
import { assertNoSessions, Files } from "./leftovers.ts";
import { attemptIn, type Phase, phaseAsk } from "./phase.ts";
import type { Replicas } from "./replicas.ts";
import { type Api, type Ask, ask, assertSame, type Reply } from "./reply.ts";
import { until } from "./until.ts";

/** From the loss of a stage until the last of its neighbours has noticed: TCP takes longest. And an engine that hangs is given more. */
const NOTICED_MS = 15_000;
/** To compute the longest prompt again. */
const REPLAY_MS = 15_000;

export interface Cell {
  fault: FaultName;
  phase: Phase;
  stage: number;
  /** In words: "text", or the error's code. */
  outcome: string;
  /** From the fault on, without the machine's own lateness. */
  tookMs: number;
}

export class Table {
  readonly #replicas: Replicas;
  readonly #undisturbed: Api;
  readonly #deadlineMs: number;
  #files: Files | undefined;
  #asked = 0;

  /** `undisturbed` serves the same model; replies wait `recoveryMs` for a stage that nobody has. */
  constructor(replicas: Replicas, undisturbed: Api, recoveryMs: number) {
    this.#replicas = replicas;
    this.#undisturbed = undisturbed;
    this.#deadlineMs = recoveryMs + NOTICED_MS + REPLAY_MS;
  }

  /** Fails if the reply hangs, ends in another text or an error without a name, or leaves something behind. */
  async strike(fault: FaultName, phase: Phase, stage: number): Promise<Cell> {
    const replicas = this.#replicas;
    this.#files ??= await this.#filesNow();
    const attempt = await attemptIn(
      phase,
      replicas,
      stage,
      this.#deadlineMs,
      () => ++this.#asked,
    );
    const holder = replicas.holder(attempt.route[stage]!);
    const engine = engineOf(holder.member.pid);
    using lateness = new Lateness();
    const struckMs = performance.now();
    const mend = await FAULTS[fault].strike(replicas, attempt);
    attempt.release();
    let cell: Cell;
    try {
      const { reply, refusal } = await attempt.ended;
      const tookMs = Math.round(performance.now() - struckMs - lateness.ms);
      const what = `${fault} at stage ${stage} in phase "${phase}"`;
      if (reply !== undefined)
        assertSame(reply, await this.#expected(attempt.how), what);
      else assert.notEqual(refusal?.code, "internal", what);
      cell = { fault, phase, stage, outcome: refusal?.code ?? "text", tookMs };
    } finally {
      await mend();
    }
    await replicas.whole();
    if (engineOf(holder.member.pid) !== engine)
      await until("the engine to end", () => !existsSync(`/proc/${engine}`));
    await assertNoSessions(replicas);
    await this.#files.assertSame();
    return cell;
  }

  async #expected(how: Ask): Promise<Reply> {
    const signal = AbortSignal.timeout(this.#deadlineMs);
    return await ask(this.#undisturbed, how, { stream: true, signal });
  }

  /** After the first answer: what a process writes for good it has written. */
  async #filesNow(): Promise<Files> {
    await ask(this.#replicas, phaseAsk(++this.#asked, "short"), {
      stream: false,
      signal: AbortSignal.timeout(this.#deadlineMs),
    });
    return await Files.of(this.#replicas);
  }
}
