/** What a sequence has, written to a file and read by another context: it goes on with the same bits, from its end and from earlier positions. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { Stage, type StageOptions } from "../../../src/engine/stage.ts";
import type { ShardInfo } from "../../../src/model/index.ts";

/** Throws at the first difference to `expected`, the logits after each of `steps` decodes. */
export function certifyKept(
  shard: ShardInfo,
  options: StageOptions,
  folder: string,
  steps: readonly Int32Array[],
  expected: readonly Float32Array[],
): void {
  const path = join(folder, "sequence.kv");
  const starts = steps.map((_, i) => lengthOf(steps.slice(0, i)));
  let earliest: number;
  {
    using stage = new Stage(shard, { ...options, sessions: 2 });
    for (const [i, tokens] of steps.slice(0, -1).entries())
      stage.decode(1, starts[i] ?? 0, tokens, undefined);
    earliest = stage.earliestOf(1, true);
    if (!stage.save(1, path))
      throw new Error("a sequence could not be written");
  }
  using stage = new Stage(shard, { ...options, sessions: 2 });
  const last = steps.length - 1;
  for (let first = last; first > 0; first--) {
    const at = starts[first] ?? 0;
    if (first !== last && at < earliest) break;
    stage.freeSequence(0);
    if (!stage.load(0, path, statSync(path).size))
      throw new Error("a sequence could not be read");
    if (stage.lengthOf(0) !== starts[last])
      throw new Error(`${stage.lengthOf(0)} positions were read`);
    if (first !== last && !stage.rewind(0, at))
      throw new Error(`a sequence could not go back to position ${at}`);
    for (let i = first; i <= last; i++) {
      stage.decode(0, starts[i] ?? 0, steps[i] ?? NONE, undefined);
      const [ours, theirs] = [
        stage.logits(),
        expected[i] ?? new Float32Array(),
      ];
      if (!Buffer.from(ours.buffer).equals(Buffer.from(theirs.buffer)))
        throw new Error(
          `kept: logits of step ${i} differ, gone on from position ${at}`,
        );
    }
  }
}

const NONE = new Int32Array();

function lengthOf(steps: readonly Int32Array[]): number {
  return steps.reduce((sum, { length }) => sum + length, 0);
}
