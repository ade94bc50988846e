/** The dashboard asks only for metrics that running roles have. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { ROOT } from "./swarm.ts";

/** Words of PromQL that look like a metric's name. */
const WORDS = new Set(
  "sum max min avg count by rate histogram_quantile label_values instance cluster state reason shard protocol transport direction level tag stat le".split(
    " ",
  ),
);
/** They tell of what did not happen in this swarm; their names are registered all the same. */
const VALUES_OPTIONAL = new Set([
  "shoal_announcements_refused_total",
  "shoal_torrent_transfers",
]);

interface Panel {
  title: string;
  targets?: { expr: string }[];
}

function metricsOf(expression: string): string[] {
  const bare = expression
    .replaceAll(/"[^"]*"/g, "")
    .replaceAll(/\[[^\]]*\]/g, "");
  return [...bare.matchAll(/[a-z_][a-z0-9_]*/g)]
    .map(([name]) => name)
    .filter((name) => !WORDS.has(name));
}

/** The names that roles declare, and those that have a value. */
async function metricsAt(
  urls: readonly string[],
): Promise<{ declared: Set<string>; valued: Set<string> }> {
  const declared = new Set<string>();
  const valued = new Set<string>();
  for (const url of urls) {
    const text = await (await fetch(url)).text();
    for (const [, name] of text.matchAll(/^# TYPE (\S+)/gm))
      declared.add(name!);
    for (const [, name] of text.matchAll(/^([a-zA-Z_][\w]*)(?:\{| )/gm))
      valued.add(name!);
  }
  return { declared, valued };
}

/** `pages`: of the pages of all roles of a swarm that has answered a prompt. */
export async function assertDashboard(pages: readonly string[]): Promise<void> {
  const dashboard = JSON.parse(
    await readFile(join(ROOT, "deploy/grafana/shoal.json"), "utf8"),
  ) as { panels: Panel[]; templating: { list: { query: unknown }[] } };
  const wanted = new Map<string, string>();
  for (const { title, targets = [] } of dashboard.panels)
    for (const { expr } of targets)
      for (const name of metricsOf(expr)) wanted.set(name, title);
  assert.ok(wanted.size > 25, [...wanted.keys()].join());

  const urls = pages.map((url) => `${url}/metrics`);
  const isThere = (
    name: string,
    { declared, valued }: Awaited<ReturnType<typeof metricsAt>>,
  ): boolean =>
    VALUES_OPTIONAL.has(name) ? declared.has(name) : valued.has(name);
  // What a role shows of itself is up to a second old.
  const deadlineMs = performance.now() + 30_000;
  let metrics = await metricsAt(urls);
  while (
    performance.now() < deadlineMs &&
    ![...wanted.keys()].every((name) => isThere(name, metrics))
  ) {
    await setTimeout(500);
    metrics = await metricsAt(urls);
  }
  for (const [name, title] of wanted)
    assert.ok(
      isThere(name, metrics),
      `${name} of "${title}" is no metric of a role`,
    );
  assert.ok(
    [...metrics.declared].some((name) => name.startsWith("libp2p_")),
    "libp2p's own are among them",
  );
}
