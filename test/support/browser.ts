/** A browser for tests of the page: Debian's chromium, or the one that CHROMIUM_PATH names. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type Browser, chromium, type Page } from "playwright-core";

const PATHS = [
  process.env.CHROMIUM_PATH,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
];
const found = PATHS.find((path) => path !== undefined && existsSync(path));

/** Why browser tests cannot run here: pass it on as the test's option. */
export const browserMissing: string | false =
  found === undefined
    ? "no chromium is here (apt-get install chromium, or CHROMIUM_PATH)"
    : false;

export async function startBrowser(): Promise<Browser> {
  assert.ok(found !== undefined, String(browserMissing));
  return await chromium.launch({
    executablePath: found,
    // Root, as in a container, gets no sandbox; what is opened here is ours.
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
}

/** What went wrong in a page, and whom it asked. */
export interface Watched {
  page: Page;
  /** Errors that nobody caught, and what the policy forbade. */
  faults: string[];
  /** Origins of all requests. */
  origins: Set<string>;
  /** Times the document was loaded. */
  loads: number;
}

export async function openPage(
  browser: Browser,
  options: { width?: number; height?: number; scheme?: "light" | "dark" } = {},
): Promise<Watched> {
  const { width = 1440, height = 900, scheme = "light" } = options;
  const page = await browser.newPage({
    viewport: { width, height },
    colorScheme: scheme,
    reducedMotion: "reduce",
  });
  page.setDefaultTimeout(60_000);
  const watched: Watched = { page, faults: [], origins: new Set(), loads: 0 };
  page.on("pageerror", (error) => watched.faults.push(error.message));
  page.on("console", (message) => {
    // A lost connection is the browser's news, not a fault of the page.
    if (
      message.type() === "error" &&
      !message.text().startsWith("Failed to load")
    )
      watched.faults.push(message.text());
  });
  page.on("request", (request) => {
    watched.origins.add(new URL(request.url()).origin);
    if (request.isNavigationRequest()) watched.loads++;
  });
  return watched;
}

interface AxeViolation {
  id: string;
  impact: string | null;
  nodes: { html: string; failureSummary?: string }[];
}

const axeSource = readFileSync(
  createRequire(import.meta.url).resolve("axe-core/axe.min.js"),
  "utf8",
);

/** What axe calls serious or critical in the page as it is now. */
export async function seriousProblems(page: Page): Promise<string[]> {
  await page.evaluate(axeSource);
  const violations = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as {
      axe: { run(): Promise<{ violations: AxeViolation[] }> };
    };
    return (await axe.run()).violations;
  });
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(
      ({ id, nodes }) => `${id}: ${nodes[0]?.html} ${nodes[0]?.failureSummary}`,
    );
}
