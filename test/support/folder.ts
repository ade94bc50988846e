/** Files that tests write and read. */
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

/** A folder for one test, removed after it. */
export async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "shoal-test-"));
  t.after(() => removeFolder(folder));
  return folder;
}

/** What the test has stopped or killed may still write: what comes while it is removed is removed as well. */
export async function removeFolder(folder: string): Promise<void> {
  await rm(folder, {
    recursive: true,
    force: true,
    maxRetries: 10,
    retryDelay: 50,
  });
}

/** Bytes of all files under a folder; 0 where there is none. */
export async function folderBytes(folder: string): Promise<number> {
  const entries = await readdir(folder, {
    recursive: true,
    withFileTypes: true,
  }).catch(() => []);
  let sum = 0;
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    sum += await stat(path).then(
      ({ size }) => size,
      () => 0, // renamed or gone meanwhile
    );
  }
  return sum;
}

/** A real file that lies beside the checkout, not in it. `skip` says why a test cannot have it: pass it on as the test's option. */
export function testData(name: string): {
  path: string;
  skip: string | false;
} {
  const path = join(import.meta.dirname, "../../../shared/testdata", name);
  return { path, skip: existsSync(path) ? false : `${name} is not here` };
}
