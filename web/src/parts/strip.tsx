/** The shards in order: what each is, who holds it, how many. */
import { memo, type ReactNode } from "react";
import { layers, percent } from "../format.ts";
import { hrefOf } from "../route.ts";
import type { ClusterStatus } from "../types.ts";
import { SHARD_WORDS } from "../words.ts";
import { Bar } from "./small.tsx";

type Shard = ClusterStatus["shards"][number];
/** More shards than this get smaller cells. */
const MANY = 16;
const PIPS = 4;

export function Strip({ cluster }: { cluster: ClusterStatus }): ReactNode {
  const { shards, members } = cluster;
  const coming = new Map<number, { doneBytes: number; sizeBytes: number }>();
  for (const { shard, progress } of members) {
    const best = coming.get(shard);
    if (progress !== null && progress.doneBytes >= (best?.doneBytes ?? 0))
      coming.set(shard, progress);
  }
  return (
    <ol
      className={`strip ${shards.length > MANY ? "many" : ""}`}
      aria-label="Shards in order"
    >
      {shards.map((shard) => {
        const progress =
          shard.state === "downloading" ? coming.get(shard.index) : undefined;
        return (
          <Cell
            key={shard.index}
            shard={shard}
            done={progress?.doneBytes}
            size={progress?.sizeBytes}
            signature={JSON.stringify([shard, progress])}
          />
        );
      })}
    </ol>
  );
}

const Cell = memo(
  function Cell(props: {
    shard: Shard;
    done: number | undefined;
    size: number | undefined;
    signature: string;
  }): ReactNode {
    const { shard, done, size } = props;
    const [word, tone] = SHARD_WORDS[shard.state];
    const holders = `${shard.loaded} of ${shard.holders} holders ready`;
    return (
      <li data-shard={shard.index} data-state={shard.state}>
        <a
          className={`tone-${tone}`}
          href={hrefOf("nodes", `shard-${shard.index}`)}
        >
          <span className="name">
            <span>
              <span className="visually-hidden">Shard </span>
              {shard.index}
            </span>
            <span className="pips" title={holders} aria-hidden="true">
              {Array.from({ length: Math.min(PIPS, shard.holders) }, (_, i) => (
                <i key={i} className={i < shard.loaded ? "on" : undefined} />
              ))}
              {shard.holders > PIPS && shard.holders}
            </span>
          </span>
          <span className="layers">layers {layers(shard)}</span>
          <span className="word">
            {word}
            {done !== undefined && size !== undefined && (
              <>
                {" "}
                {percent(done, size)}
                <Bar done={done} size={size} label={`Shard ${shard.index}`} />
              </>
            )}
          </span>
          <span className="visually-hidden">{holders}</span>
        </a>
      </li>
    );
  },
  (old, next) => old.signature === next.signature,
);
