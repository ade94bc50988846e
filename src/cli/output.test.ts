import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { lineWriter } from "./output.ts";

test("a log that nobody reads takes bounded memory, and tells how many lines are missing", async () => {
  const stream = new PassThrough();
  const dropped = Promise.withResolvers<number>();
  const write = lineWriter(stream, dropped.resolve);
  const line = `${"x".repeat(1023)}\n`;
  for (let i = 0; i < 3000; i++) write(line);
  assert.ok(stream.writableLength < 1.1 * 2 ** 20, `${stream.writableLength}`);
  let bytes = 0;
  stream.on("data", (part: Buffer) => (bytes += part.length));
  const missing = await dropped.promise;
  assert.ok(missing > 1000);
  assert.equal(bytes, (3000 - missing) * line.length);
  write(line);
  assert.equal(bytes, (3001 - missing) * line.length);
});

test("only output.ts writes to standard output and standard error", () => {
  const writers = globSync("**/*.ts", { cwd: import.meta.dirname }).filter(
    (file) =>
      !file.endsWith(".test.ts") &&
      /\bstd(out|err)\.write\b|\bconsole\./.test(
        readFileSync(join(import.meta.dirname, file), "utf8"),
      ),
  );
  assert.deepEqual(writers, ["output.ts"]);
});
