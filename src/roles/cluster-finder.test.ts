import assert from "node:assert/strict";
import { test } from "node:test";
import type { z } from "zod";
import { Story } from "../../test/fakes/gateway.ts";
import { HandClock } from "../../test/support/clock.ts";
import { ShoalError } from "../lib/index.ts";
import { ClusterFinder, FINDING } from "./cluster-finder.ts";

/** Bootstraps that tell of clusters, two on a page; an error is what they answer. */
function scene(told: Record<string, string[] | ShoalError>) {
  const clock = new HandClock();
  const story = new Story();
  const open = new Set<string>();
  const members = new Map<string, number>();
  const call = async <S extends z.ZodType>(
    peer: unknown,
    _: string,
    params: unknown,
    result: S,
  ): Promise<z.output<S>> => {
    const names = told[String(peer)] ?? [];
    if (names instanceof ShoalError) throw names;
    const { after } = params as { after: string };
    const rest = names.filter((name) => name > after).sort();
    return result.parse({
      clusters: rest.slice(0, 2).map((name) => ({
        name,
        model: null,
        manifest: null,
        ready: false,
      })),
      more: rest.length > 2,
    });
  };
  const finder = new ClusterFinder({
    commands: { call },
    events: story.events,
    clock,
    clusters: {
      names: () => [...open],
      membersOf: (name) => members.get(name) ?? 0,
      open: async (name) => void open.add(name),
      close: async (name) => void open.delete(name),
      through: () => Object.keys(told),
    },
  });
  const found = (): string[] => [...open].sort();
  return { finder, found, clock, story, members, told };
}

test("every cluster that some bootstrap tells of is served, page by page, also one that comes later", async () => {
  const { finder, found, clock, told } = scene({
    one: ["a", "b", "c", "d", "e"],
    two: ["e", "f"],
    old: new ShoalError("COMMAND_UNKNOWN", "unknown command"),
  });
  await finder.look();
  assert.deepEqual(found(), ["a", "b", "c", "d", "e", "f"]);
  told.two = ["g"];
  finder.start();
  await clock.pass(FINDING.everyMs);
  assert.deepEqual(found(), ["a", "b", "c", "d", "e", "f", "g"]);
  await finder.stop();
});

test("one that nobody tells of any more is served for a minute, and for as long as it has a member", async () => {
  const { finder, found, clock, told, members } = scene({ one: ["a", "b"] });
  await finder.look();
  members.set("b", 1);
  told.one = [];
  await clock.pass(FINDING.keptMs - 1);
  await finder.look();
  assert.deepEqual(found(), ["a", "b"]);
  await clock.pass(1);
  await finder.look();
  assert.deepEqual(found(), ["b"]);
  members.delete("b");
  await finder.look();
  assert.deepEqual(found(), []);
});

test("bootstraps that do not answer end nothing", async () => {
  const { finder, found, clock, told } = scene({ one: ["a"] });
  await finder.look();
  told.one = new ShoalError("DEADLINE", "no answer");
  await clock.pass(10 * FINDING.keptMs);
  await finder.look();
  assert.deepEqual(found(), ["a"]);
});

test("past the bound it serves the first ones, and says once that there are more", async () => {
  const names = (peer: string): string[] =>
    Array.from({ length: 20 }, (_, i) => `${peer} ${i}`);
  const { finder, found, story } = scene({ a: names("a"), b: names("b") });
  for (let i = 0; i < 3; i++) await finder.look();
  assert.equal(found().length, FINDING.most);
  const warned = story.told.filter(({ level }) => level === "warn");
  assert.deepEqual(
    warned.map(({ fields }) => fields),
    [{ served: FINDING.most, more: 40 - FINDING.most }],
  );
});
