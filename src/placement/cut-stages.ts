/**
 * What the search for a better cut is given: of each stage how fast its nodes are and which layers they have room for. All of it is what
 * they announce. Pure.
 */
import {
  type LayerRange,
  type Manifest,
  shardTest,
  tokenCost,
} from "../model/index.ts";
import { computeTimes, planRoute } from "../routing/index.ts";
import type { CutInput, CutStage } from "./better-cut.ts";
import { spareOf } from "./candidates.ts";
import { coverageOf, type Holder, settled, type Swarm } from "./coverage.ts";
import type { Cut } from "./cut-in-force.ts";
import { offerOf } from "./placement.ts";
import {
  needsOf,
  planShards,
  type SessionRoom,
  usableBytes,
} from "./shard-needs.ts";

/** What a decode takes besides its layers: of the demo model on one processor, 0.2 ms of 0.3 ms for one layer and of 1 ms for eight. */
const FIXED = Object.freeze({ ms: 0.2, mostPart: 0.5 });

/** A holder, as far as moving it is concerned. */
export interface Mover extends Holder {
  /** Undefined: its layers stay. */
  move?: "auto" | "ask" | undefined;
  links?: readonly string[] | undefined;
  /** In tenths of a millisecond. */
  roundTrips?: readonly number[] | undefined;
  /** The middle half of its times lies between these. */
  middleMs?: readonly [number, number] | undefined;
}

export interface CutQuestion extends Swarm, SessionRoom {
  model: Manifest;
  cut: Cut;
  announcements: readonly Mover[];
  /** At once. */
  sessionsAtOnce: number;
}

export interface CutAnswer {
  input: CutInput;
  /** Of each stage: the nodes that hold it for good. */
  members: Mover[][];
}

/** Or why nothing can be said. */
export function cutInput(
  question: CutQuestion,
): CutAnswer | { reason: string } {
  const { model, cut, manifest, sessionsAtOnce } = question;
  if (cut.ranges.length < 2)
    return { reason: "the model is one stage: there is no border to move" };
  const ready = question.announcements.filter(
    (a) => a.manifest === manifest && a.state === "ready",
  );
  const members = cut.ranges.map((range) =>
    settled(ready).filter((a): a is Mover => sameRange(a, range)),
  );
  const empty = members.findIndex((those) => those.length === 0);
  if (empty !== -1)
    return {
      reason: `${nameOf(cut, empty)} has no ready node of its own`,
    };
  const unknown = members.findIndex((those) =>
    those.every((a) => a.msPerToken === undefined),
  );
  if (unknown !== -1)
    return { reason: `${nameOf(cut, unknown)} has not computed a token yet` };
  const costOf = tokenCost(model);
  const fit = roomOf(question, members);
  const stages = cut.ranges.map((range, i) => {
    const those = members[i] ?? [];
    const { fixedMs, msPerCost, share } = pace(those, costOf(range));
    return { range, fixedMs, msPerCost, share, fits: fit(those) };
  });
  const input: CutInput = {
    layerCount: model.layerCount,
    isShard: shardTest(model),
    costOf,
    stages,
    wireMs: wireOf(members.flat(), model.layerCount),
    sessions: Math.max(1, sessionsAtOnce),
  };
  return { input, members };
}

/** The same, if the nodes that get more layers are slow for once and the others fast. */
export function doubted(
  { input, members }: CutAnswer,
  ranges: readonly LayerRange[],
): CutInput {
  const { costOf, stages } = input;
  const doubt = (stage: CutStage, i: number): CutStage => {
    const cost = costOf(stage.range);
    const more = costOf(ranges[i] ?? stage.range) - cost;
    if (more === 0) return stage;
    const those = members[i] ?? [];
    const then = those.map((member) => atEnd(member, more > 0 ? 1 : 0));
    return { ...stage, ...pace(then, cost) };
  };
  return { ...input, stages: stages.map(doubt) };
}

function atEnd(member: Mover, end: 0 | 1): Mover {
  return { ...member, msPerToken: member.middleMs?.[end] ?? member.msPerToken };
}

/** Of the fastest node, which a single session gets; and of all of them, which many share. A node that has not computed is like the fastest. */
function pace(
  members: readonly Mover[],
  cost: number,
): Pick<CutStage, "fixedMs" | "msPerCost" | "share"> {
  const times = computeTimes(members).filter((time) => time.isMeasured);
  const leastMs = Math.min(...times.map(({ ms }) => ms));
  const measured = times.reduce((sum, { ms }) => sum + 1 / ms, 0);
  const rate = measured + (members.length - times.length) / leastMs;
  // A short stage must not look slow, layer by layer, for what every decode takes.
  const fixedMs = Math.min(FIXED.ms, FIXED.mostPart * leastMs);
  const msPerCost = (leastMs - fixedMs) / cost;
  return { fixedMs, msPerCost, share: 1 / (rate * leastMs) };
}

/** All links of a token's way along the cheapest route. */
function wireOf(members: readonly Mover[], layerCount: number): number {
  const holders = members.map(
    ({ peer, layerStart, layerEnd, sessions, msPerToken, links, ...a }) => ({
      peer,
      layerStart,
      layerEnd,
      sessions,
      msPerToken,
      links,
      roundTripsMs: a.roundTrips?.map((tenths) => tenths / 10),
    }),
  );
  const stages = planRoute(holders, layerCount)?.prediction.stages ?? [];
  return stages.reduce((sum, { wireMs }) => sum + wireMs, 0);
}

/** Whether all nodes of a stage have room for a range beside what they hold. What more layers need is never less. */
function roomOf(
  question: CutQuestion,
  members: readonly Mover[][],
): (those: readonly Mover[]) => (range: LayerRange) => boolean {
  const { model } = question;
  const coverage = coverageOf(question);
  const isShard = shardTest(model);
  // A session has the least context of its stages.
  const contextLength = Math.min(
    ...members.flat().map((a) => a.contextLength || Infinity),
  );
  const bytesOf = (member: Mover): number => {
    const offer = offerOf(member, question);
    const standbys = spareOf(coverage, member.peer);
    return standbys.reduce(
      (sum, shard) => sum + needsOf(shard, offer).totalBytes,
      usableBytes(offer.capacity.freeMemoryBytes),
    );
  };
  return (those) => {
    if (those.some(({ move }) => move === undefined)) return () => false;
    const rooms = those.map((member) => ({
      bytes: bytesOf(member),
      room: { ...offerOf(member, question), contextLength, kv: question.kv },
    }));
    const fitsAll = (range: LayerRange): boolean =>
      planShards(model, [range]).every((shard) =>
        rooms.every(
          ({ bytes, room }) => needsOf(shard, room).totalBytes <= bytes,
        ),
      );
    const ends = lastEnds(model.layerCount, isShard, fitsAll);
    return ({ layerStart, layerEnd }) => layerEnd <= (ends[layerStart] ?? 0);
  };
}

/** By first layer: where the longest range that fits ends. Of one that fits all parts fit, so the ends only grow. */
function lastEnds(
  layerCount: number,
  isShard: (range: LayerRange) => boolean,
  fits: (range: LayerRange) => boolean,
): number[] {
  let last = 0;
  return Array.from({ length: layerCount }, (_, layerStart) => {
    const first = Math.max(last, layerStart) + 1;
    for (let layerEnd = first; layerEnd <= layerCount; layerEnd++) {
      const range = { layerStart, layerEnd };
      if (!isShard(range)) continue;
      if (!fits(range)) break;
      last = layerEnd;
    }
    return last;
  });
}

function nameOf({ ranges }: Cut, index: number): string {
  const { layerStart = 0, layerEnd = 0 } = ranges[index] ?? {};
  return `stage ${index} (layers ${layerStart}-${layerEnd - 1})`;
}

function sameRange(a: LayerRange, b: LayerRange): boolean {
  return a.layerStart === b.layerStart && a.layerEnd === b.layerEnd;
}
