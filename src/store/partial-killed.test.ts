import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { access, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { metadataOf } from "../../test/fakes/store.ts";
import { storeFixture } from "../../test/fakes/store-folders.ts";
import { PieceSet } from "./piece-set.ts";
import { toRoot } from "./piece-tree.ts";
import { PIECE_BYTES as MIB } from "./types.ts";

/** Writes pieces of a file to a download, one after the other, and says which; never ends by itself. */
const WRITER = `
  import { open } from "node:fs/promises";
  import { Events } from "./src/lib/index.ts";
  import { DiskStore } from "./src/store/store.ts";
  const [folder, source, sizeBytes, root, hashes] = process.argv.slice(1);
  const pieceHashes = new Uint8Array(Buffer.from(hashes, "hex"));
  const store = new DiskStore({
    directories: [folder + "/models"], stateDir: folder + "/state", events: new Events(), settleMs: 0,
  });
  await store.start();
  const partial = await store.open(
    { root, sizeBytes: Number(sizeBytes), pieceHashes },
    { path: folder + "/models/content", name: "content", kind: "part" },
  );
  const file = await open(source, "r");
  await Promise.all(Array.from({ length: pieceHashes.length / 32 }, async (_, i) => {
    const bytes = Buffer.alloc(Math.min(${MIB}, Number(sizeBytes) - i * ${MIB}));
    await file.read(bytes, 0, bytes.length, i * ${MIB});
    await partial.writePiece(i, bytes);
    process.stdout.write(i + "\\n");
  }));
  setInterval(() => {}, 1000);
`;

test("killed at any moment, a download has every reported piece and no other", async (t) => {
  const { folder, models, start } = await storeFixture(t);
  const bytes = randomBytes(40 * MIB + 1);
  const piece = (index: number): Uint8Array =>
    bytes.subarray(index * MIB, (index + 1) * MIB);
  const source = join(folder, "source");
  await writeFile(source, bytes);
  const path = join(models, "content");
  const large = metadataOf(bytes);
  const { root, sizeBytes, pieceHashes } = large;
  const said = new Set<number>();
  // How many more pieces are written when the kill comes.
  for (const after of [2, 9]) {
    const child = spawn(
      process.execPath,
      [
        "--input-type=module-typescript",
        "-e",
        WRITER,
        folder,
        source,
        String(sizeBytes),
        root,
        toRoot(pieceHashes),
      ],
      {
        cwd: join(import.meta.dirname, "../.."),
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    let lines = 0;
    createInterface({ input: child.stdout }).on("line", (line) => {
      said.add(Number(line));
      if (++lines === after) child.kill("SIGKILL");
    });
    const [, signal] = (await once(child, "close")) as [unknown, string];
    assert.equal(signal, "SIGKILL"); // it was writing, and did not end by itself
    await assert.rejects(access(path));
  }
  const store = await start();
  const partial = await store.open(large, {
    path,
    name: "content",
    kind: "part",
  });
  const have = new PieceSet(41, partial.content.have);
  assert.deepEqual(
    [...said].filter((index) => !have.has(index)),
    [],
  );
  for (const index of have) {
    const actual = Buffer.from(await store.readPiece(root, index));
    assert.ok(actual.equals(piece(index)), `piece ${index}`);
  }
  for (let i = 0; i < 41; i++)
    if (!have.has(i)) await partial.writePiece(i, piece(i));
  await partial.finish();
  assert.deepEqual(await readFile(path), bytes);
});
