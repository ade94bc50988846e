/** Who may write a file that is not complete: one process at a time, and the next one once that is gone. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdir, readFile, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import { sha256 } from "../../test/support/hub.ts";
import { Events, isShoalError } from "../lib/index.ts";
import { DEFAULTS } from "./defaults.ts";
import { PartialFile, type PartialFileOptions } from "./partial-file.ts";

const HOST = createHash("sha256").update(hostname()).digest("hex").slice(0, 8);
const BYTES = Buffer.from("0123456789");

async function options(t: TestContext): Promise<PartialFileOptions> {
  return {
    target: join(await temporaryFolder(t), "blobs", "file"),
    sizeBytes: BYTES.length,
    algorithm: "sha256",
    limits: { ...DEFAULTS, waitMs: 10 },
    events: new Events(),
    signal: AbortSignal.timeout(30_000),
  };
}

const namesIn = ({ target }: PartialFileOptions): Promise<string[]> =>
  readdir(dirname(target));

/** As a process left it. */
async function left(
  of: PartialFileOptions,
  owner: string,
  bytes: Buffer,
  ageMs = 0,
): Promise<string> {
  await (await PartialFile.claim(of))?.release(); // makes the folder
  const path = `${of.target}${owner}.shoal.incomplete`;
  await writeFile(path, bytes);
  const time = new Date(Date.now() - ageMs);
  await utimes(path, time, time);
  return path;
}

test("what is released is continued, with the hash of all of it", async (t) => {
  const of = await options(t);
  const first = (await PartialFile.claim(of))!;
  await first.append(BYTES.subarray(0, 4));
  await first.release();
  assert.deepEqual(await namesIn(of), ["file.shoal.incomplete"]);
  assert.equal(await PartialFile.keptBytes(of), 4);
  const second = (await PartialFile.claim(of))!;
  assert.equal(second.doneBytes, 4);
  await second.append(BYTES.subarray(4));
  assert.equal(second.digest(), sha256(BYTES));
  await second.complete();
  await second.release();
  assert.deepEqual(await namesIn(of), ["file"]);
  assert.ok((await readFile(of.target)).equals(BYTES));
  assert.equal(await PartialFile.claim(of), undefined, "it is complete");
});

test("nothing is left of a file that is discarded or never had a byte", async (t) => {
  const of = await options(t);
  await (await PartialFile.claim(of))!.release();
  assert.deepEqual(await namesIn(of), []);
  const file = (await PartialFile.claim(of))!;
  await file.append(BYTES);
  await file.discard();
  await file.release();
  assert.deepEqual(await namesIn(of), []);
});

test("after a reset it has nothing of what was there", async (t) => {
  const of = await options(t);
  const file = (await PartialFile.claim(of))!;
  await file.append(Buffer.from("wrong"));
  await file.reset();
  await file.append(BYTES);
  assert.equal(file.digest(), sha256(BYTES));
  await file.complete();
  assert.ok((await readFile(of.target)).equals(BYTES));
});

test("more than the file may have is thrown away", async (t) => {
  const of = await options(t);
  await left(of, "", Buffer.alloc(11));
  const file = (await PartialFile.claim(of))!;
  assert.equal(file.doneBytes, 0);
  await file.release();
});

const OWNERS: readonly (readonly [
  what: string,
  owner: string,
  ageMs: number,
  isTaken: boolean,
])[] = [
  ["nobody", "", 0, false],
  ["a process that is gone", `.${HOST}-${2 ** 22 + 1}-00000000`, 0, false],
  [
    "an earlier process with this one's id",
    `.${HOST}-${process.pid}-00000000`,
    0,
    false,
  ],
  ["a process that lives", `.${HOST}-${process.ppid}-00000000`, 0, true],
  [
    "a process that lives and has not touched it for long",
    `.${HOST}-${process.ppid}-00000000`,
    61_000,
    false,
  ],
  ["another machine", ".ffffffff-1-00000000", 0, true],
  ["another machine, long ago", ".ffffffff-1-00000000", 61_000, false],
];

for (const [what, owner, ageMs, isTaken] of OWNERS)
  test(`a file of ${what} is ${isTaken ? "waited for" : "taken over"}`, async (t) => {
    const of = await options(t);
    const path = await left(of, owner, BYTES.subarray(0, 5), ageMs);
    if (isTaken) {
      const short = { ...of, signal: AbortSignal.timeout(200) };
      await assert.rejects(PartialFile.claim(short), (error) =>
        isShoalError(error, "ABORTED"),
      );
      assert.equal((await stat(path)).size, 5, "it is untouched");
      assert.equal((await namesIn(of)).length, 1);
    } else {
      const file = (await PartialFile.claim(of))!;
      assert.equal(file.doneBytes, 5);
      const [name = ""] = await namesIn(of);
      assert.notEqual(name, basename(path));
      const { mtimeMs } = await stat(join(dirname(of.target), name));
      assert.ok(Date.now() - mtimeMs < 30_000, "nobody takes it for abandoned");
      await file.release();
    }
  });

test("who waits gets the file once the other has completed it", async (t) => {
  const of = await options(t);
  const first = (await PartialFile.claim(of))!;
  const second = PartialFile.claim(of);
  await first.append(BYTES);
  await first.complete();
  assert.equal(await second, undefined);
});
