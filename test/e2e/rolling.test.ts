/** Every node of a running cluster is stopped and started again while clients ask: no request fails, and none gets another text. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Load } from "../support/load.ts";
import { Replicas } from "../support/replicas.ts";
import { rollOver } from "../support/rolling.ts";

/** `bench/rolling.ts` has a thousand. */
const REQUESTS = 50;

test("a rolling restart of six nodes, two holders a stage: fifty requests, none fails", async (t) => {
  const replicas = await Replicas.start(t, { stages: 3, holders: 2 });
  const undisturbed = await Replicas.undisturbed(t);
  const load = await Load.start(
    t,
    { replicas, undisturbed },
    { clients: 3, different: 9 },
  );
  for (const { name, stopMs, startMs } of await rollOver(replicas))
    t.diagnostic(`${name}: ended in ${stopMs} ms, back in ${startMs} ms`);
  await load.has(REQUESTS);
  const { whole, failures, recoveries } = await load.stop();
  t.diagnostic(`${whole} replies, ${recoveries} of them went another way`);
  assert.deepEqual(failures, []);
  assert.ok(whole >= REQUESTS);
});
