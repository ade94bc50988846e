/**
 * Where a cluster's model is cut now. Members announce the cut that they follow; the one with the most ready stages is in force, of equal ones
 * the newest. So a new cut is in force as soon as its last stage is ready. Pure: everybody who has the same records says the same.
 */
import type { ToldCut } from "../cluster/index.ts";
import { compare } from "../lib/index.ts";
import {
  type LayerRange,
  planLayers,
  type PlannedModel,
  shardTest,
} from "../model/index.ts";
import type { Holder } from "./coverage.ts";

export interface Cut {
  /** 0: the plan that follows from the cluster's record. */
  version: number;
  /** Of the stages, in order. */
  ranges: readonly LayerRange[];
}

/** Anybody may announce any cut; those that the most members follow are looked at. */
const CUTS_LOOKED_AT = 16;

/** The cluster's own plan. Throws MODEL_SHARDS. */
export function firstCut(model: PlannedModel, shards: number): Cut {
  return { version: 0, ranges: planLayers(model, shards) };
}

/** Undefined where the model may not be cut so, or into another number of stages. */
export function cutOf(
  { version, borders }: ToldCut,
  model: PlannedModel,
  stages: number,
): Cut | undefined {
  if (borders.length !== stages - 1) return undefined;
  const isShard = shardTest(model);
  const ranges = [0, ...borders].map((layerStart, i) => ({
    layerStart,
    layerEnd: borders[i] ?? model.layerCount,
  }));
  const isCut = ranges.every(
    (range) => range.layerStart < range.layerEnd && isShard(range),
  );
  return isCut ? { version, ranges } : undefined;
}

/** As it is announced; undefined: the cluster's own plan, which is not. */
export function toldCut({ version, ranges }: Cut): ToldCut | undefined {
  if (version === 0) return undefined;
  return {
    version,
    borders: ranges.slice(1).map(({ layerStart }) => layerStart),
  };
}

export function sameCut(a: Cut, b: Cut): boolean {
  return keyOf(a) === keyOf(b);
}

/** Whether a member says that it follows this cut, on its way or in force. */
export function follows(told: ToldCut | undefined, cut: Cut): boolean {
  return toldKey(told) === toldKey(toldCut(cut));
}

export interface CutsInput {
  model: PlannedModel;
  first: Cut;
  /** Of the model. */
  announcements: readonly (Holder & { cut?: ToldCut | undefined })[];
}

export interface Cuts {
  inForce: Cut;
  /** Others that somebody follows: on their way, or given up. */
  others: Cut[];
}

export function cutsOf({ model, first, announcements }: CutsInput): Cuts {
  const live = announcements.filter((a) => a.state !== "gone");
  const told = [...Map.groupBy(live, (a) => toldKey(a.cut)).entries()]
    .filter(([key]) => key !== "")
    .toSorted(([a, those], [b, others]) =>
      others.length === those.length
        ? compare(a, b)
        : others.length - those.length,
    )
    .slice(0, CUTS_LOOKED_AT)
    .flatMap(([, [one]]) => {
      const cut = one?.cut && cutOf(one.cut, model, first.ranges.length);
      return cut ?? [];
    });
  const ready = new Set(
    live.filter((a) => a.state === "ready").map((a) => rangeKey(a)),
  );
  const readyStages = ({ ranges }: Cut): number =>
    ranges.filter((range) => ready.has(rangeKey(range))).length;
  const [inForce = first, ...others] = [first, ...told].toSorted(
    (a, b) =>
      readyStages(b) - readyStages(a) ||
      b.version - a.version ||
      compare(keyOf(a), keyOf(b)),
  );
  return { inForce, others: others.filter(({ version }) => version > 0) };
}

function toldKey(cut: ToldCut | undefined): string {
  return cut === undefined ? "" : `${cut.version}:${cut.borders.join()}`;
}

function keyOf({ version, ranges }: Cut): string {
  return `${version}:${ranges.map((range) => rangeKey(range)).join()}`;
}

function rangeKey({ layerStart, layerEnd }: LayerRange): string {
  return `${layerStart}-${layerEnd}`;
}
