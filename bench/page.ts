/**
 * What the page costs: a browser that shows 200 nodes (scripting of an update, first paint), and a role that has 50 pages open (CPU).
 *
 *     npm run build && npm exec -c 'node bench/page.ts'
 *
 * A page asks for the status every 2 s and for the history every 10 s, and reads the events. Its asking is done here by fetch, with
 * gzip as browsers do; the role's CPU is its own count, with what it takes without any page subtracted.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import {
  browserMissing,
  openPage,
  startBrowser,
} from "../test/support/browser.ts";
import { ROOT } from "../test/support/swarm.ts";
import { median, report, round } from "./support.ts";

const MEMBERS = 200;
const PAGES = 50;
const UPDATES = 15;
const SECONDS = 20;
const [POLL_MS, HISTORY_MS] = [2_000, 10_000];

const server = fork(new URL("page-server.ts", import.meta.url), [`${MEMBERS}`]);
const [{ url }] = (await once(server, "message")) as [{ url: string }];

async function cpuMs(process: ChildProcess): Promise<number> {
  process.send("cpu");
  const [{ cpu }] = (await once(process, "message")) as [
    { cpu: { user: number; system: number } },
  ];
  return (cpu.user + cpu.system) / 1_000;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** CPU of the role over some seconds, as a part of a core. */
async function share(): Promise<number> {
  const [before, start] = [await cpuMs(server), performance.now()];
  await pause(SECONDS * 1_000);
  return ((await cpuMs(server)) - before) / (performance.now() - start);
}

async function readEvents(signal: AbortSignal): Promise<void> {
  const response = await fetch(`${url}/api/v1/events`, { signal });
  for await (const _ of response.body ?? []) if (signal.aborted) return;
}

async function pollEvery(
  path: string,
  ms: number,
  signal: AbortSignal,
): Promise<void> {
  await pause(Math.random() * ms);
  let after = 0;
  while (!signal.aborted) {
    const query = path.endsWith("history") ? `?after=${after}` : "";
    await (await fetch(`${url}${path}${query}`, { signal })).arrayBuffer();
    after = Date.now();
    await pause(ms);
  }
}

const folder = join(ROOT, "dist/page/assets");
const scripts = (await readdir(folder)).filter((name) => name.endsWith(".js"));
const sizes = await Promise.all(
  scripts.map(
    async (name) => gzipSync(await readFile(join(folder, name))).length,
  ),
);
const status = await (await fetch(`${url}/api/v1/status`)).text();
report({
  bench: "page-size",
  members: MEMBERS,
  statusBytes: status.length,
  statusGzipBytes: gzipSync(status, { level: 1 }).length,
  scriptGzipBytes: sizes.reduce((a, b) => a + b, 0),
});

try {
  const idle = await share();
  const stop = new AbortController();
  const pages = Array.from({ length: PAGES }, () => [
    readEvents(stop.signal),
    pollEvery("/api/v1/status", POLL_MS, stop.signal),
    pollEvery("/api/v1/history", HISTORY_MS, stop.signal),
  ]).flat();
  const settled = Promise.allSettled(pages);
  await pause(3_000);
  const open = await share();
  stop.abort();
  await settled;
  report({
    bench: "page-readers",
    members: MEMBERS,
    pages: PAGES,
    coreShareIdle: round(idle),
    coreShareOpen: round(open),
    coreShareOfPages: round(open - idle),
  });

  if (browserMissing === false) {
    const browser = await startBrowser();
    for (const view of ["", "nodes", "network"]) {
      const { page } = await openPage(browser);
      const session = await page.context().newCDPSession(page);
      // CPU of the page's thread: other programs on this machine do not count.
      await session.send("Performance.enable", { timeDomain: "threadTicks" });
      const scriptMs = async (): Promise<number> => {
        const { metrics } = await session.send("Performance.getMetrics");
        const found = metrics.find(({ name }) => name === "ScriptDuration");
        return 1_000 * (found?.value ?? 0);
      };
      await page.goto(`${url}/#/${view}`);
      await page.locator("main .panel").first().waitFor();
      const paintMs = Number(
        await page.evaluate(
          `performance.getEntriesByName("first-contentful-paint")[0]?.startTime`,
        ),
      );
      const updates: number[] = [];
      for (let i = 0; i < UPDATES; i++) {
        const startMs = await scriptMs();
        await page.waitForResponse((r) => r.url().endsWith("/api/v1/status"));
        await page.waitForTimeout(1_000);
        updates.push((await scriptMs()) - startMs);
      }
      report({
        bench: "page-update",
        view: view === "" ? "overview" : view,
        members: MEMBERS,
        updates: UPDATES,
        scriptMsMedian: round(median(updates), 1),
        scriptMsWorst: round(Math.max(...updates), 1),
        firstPaintMs: round(paintMs, 0),
      });
      await page.close();
    }
    await browser.close();
  }
} finally {
  server.disconnect();
}
