/** The dashboard asks only for metrics that running roles have. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { complete, ROOT, startSwarm } from "../support/swarm.ts";

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

test("every metric of the dashboard is one of a running role", async (t) => {
  const dashboard = JSON.parse(
    await readFile(join(ROOT, "deploy/grafana/shoal.json"), "utf8"),
  ) as { panels: Panel[]; templating: { list: { query: unknown }[] } };
  const wanted = new Map<string, string>();
  for (const { title, targets = [] } of dashboard.panels)
    for (const { expr } of targets)
      for (const name of metricsOf(expr)) wanted.set(name, title);
  assert.ok(wanted.size > 25, [...wanted.keys()].join());

  const swarm = await startSwarm({ nodes: 2, fromSeeder: true });
  t.after(() => swarm.stop());
  await complete(swarm.apiUrl, "Once upon a time", 4, 2);
  const texts = await Promise.all(
    swarm.progress.flatMap((p) =>
      p.type === "ready"
        ? fetch(`${p.info.diagnosticsUrl}/metrics`).then((r) => r.text())
        : [],
    ),
  );
  const declared = new Set<string>();
  const valued = new Set<string>();
  for (const text of texts) {
    for (const [, name] of text.matchAll(/^# TYPE (\S+)/gm))
      declared.add(name!);
    for (const [, name] of text.matchAll(/^([a-zA-Z_][\w]*)(?:\{| )/gm))
      valued.add(name!);
  }
  for (const [name, title] of wanted) {
    const isThere = VALUES_OPTIONAL.has(name)
      ? declared.has(name)
      : valued.has(name);
    assert.ok(isThere, `${name} of "${title}" is no metric of a role`);
  }
  assert.ok(
    [...declared].some((name) => name.startsWith("libp2p_")),
    "libp2p's own are among them",
  );
});
