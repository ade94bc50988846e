/**
 * No hang: whatever happens to a stage in whichever phase of a reply, the reply ends in its text or in a named error within its deadline, and no
 * node, engine or disk keeps anything of it. Three stages with two holders each; `bench/kill.ts --phases` has the full table. `SEED=…`
 * repeats a run.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";
import { type FaultName, FAULTS } from "../support/fault.ts";
import { assertRoom } from "../support/leftovers.ts";
import { writeRandomModel } from "../support/models.ts";
import { namespacesMissing, TestNetwork } from "../support/namespaces.ts";
import {
  PHASE_MODEL,
  type Phase,
  phaseAsk,
  PHASES,
  PROMPT_TOKENS,
} from "../support/phase.ts";
import { Random } from "../support/random.ts";
import { Replicas } from "../support/replicas.ts";
import type { Ask } from "../support/reply.ts";
import { Table } from "../support/struck.ts";

const SEED = Number(process.env["SEED"] ?? Date.now() % 100_000);
const STAGES = 3;
/** Of a whole context, at each node. */
const SESSIONS = 2;
const RECOVERY_S = 30;

describe("two holders of each stage, a fault in each phase of a reply:", () => {
  const undo: (() => Promise<void>)[] = [];
  let replicas: Replicas;
  let table: Table;

  before(async () => {
    const folder = await mkdtemp(join(tmpdir(), "shoal-test-"));
    undo.push(() => rm(folder, { recursive: true, force: true }));
    const model = join(folder, "model.gguf");
    await writeRandomModel(model, PHASE_MODEL);
    let network: TestNetwork | undefined;
    if (namespacesMissing === false) {
      network = await TestNetwork.create();
      undo.push(() => network![Symbol.asyncDispose]());
    }
    const end = (fn: () => Promise<void>): void => void undo.push(fn);
    replicas = await Replicas.start(
      { after: end },
      {
        stages: STAGES,
        holders: 2,
        model,
        network,
        nodeFlags: ["--sessions", String(SESSIONS)],
        gatewayFlags: ["--recovery-timeout", String(RECOVERY_S)],
      },
    );
    const undisturbed = await Replicas.undisturbed({ after: end }, model);
    table = new Table(replicas, undisturbed, RECOVERY_S * 1000);
  });

  after(async () => {
    for (const end of undo.reverse()) await end();
  });

  let cells = 0;
  /** Each time at the next stage. */
  async function strike(
    t: TestContext,
    fault: FaultName,
    phases: readonly Phase[],
  ): Promise<void> {
    for (const phase of phases) {
      const stage = cells++ % STAGES;
      const { outcome, tookMs } = await table.strike(fault, phase, stage);
      t.diagnostic(`${phase}, stage ${stage}: ${outcome} after ${tookMs} ms`);
    }
  }

  for (const fault of ["its node is killed", "its engine is killed"] as const)
    test(fault, (t) => strike(t, fault, PHASES));

  const others = [
    "its node drains",
    "its engine hangs",
    "its machine hangs",
    "its machine is cut off",
    "the next stage does not hear it",
  ] as const satisfies FaultName[];
  // Each takes seconds: another phase in each run.
  for (const fault of others) {
    const isCut = FAULTS[fault].isCut === true;
    test(fault, { skip: isCut && namespacesMissing }, async (t) => {
      t.diagnostic(`a phase of seed ${SEED}`);
      const phase = PHASES[new Random(SEED, fault).below(PHASES.length)]!;
      await strike(t, fault, [phase]);
    });
  }

  test("there is room for as many sessions as before", async () => {
    const replyTokens = PHASE_MODEL.contextLength - PROMPT_TOKENS.long;
    const whole = (number: number): Ask =>
      phaseAsk(1_000 + number, "long", replyTokens);
    await assertRoom(replicas, whole, SESSIONS);
  });
});
