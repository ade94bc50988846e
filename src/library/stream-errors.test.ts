/** What becomes of a program that uses the library when something throws where nobody catches it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

/** Runs `code` in a program in which something was started; `told` is what it heard. */
function program(code: string): {
  status: number | null;
  stdout: string;
  stderr: string;
} {
  const file = (name: string): string =>
    JSON.stringify(new URL(name, import.meta.url).href);
  const text = `
    import { Events } from ${file("../lib/index.ts")};
    import { surviveStreamErrors } from ${file("stream-errors.ts")};
    const events = new Events();
    events.subscribe(({ level, tag, message }) => console.log(level, tag, message));
    const later = (name) => setTimeout(() => { throw Object.assign(new Error("by " + name), { name }); });
    const ended = surviveStreamErrors(events);
    ${code}`;
  const args = ["--input-type=module", "--eval", text];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    encoding: "utf8",
    timeout: 60_000,
  });
  return { status, stdout, stderr };
}

test("an error of a closing stream is an event and ends nothing", () => {
  const { status, stdout, stderr } = program(
    `later("StreamStateError"); Promise.reject(Object.assign(new Error("late"), { name: "MuxerClosedError" }));`,
  );
  assert.equal(status, 0, stderr);
  assert.equal(
    stdout,
    "warn PROCESS uncaught error of a stream: late\nwarn PROCESS uncaught error of a stream: by StreamStateError\n",
  );
});

test("streams that close after the stop harm nobody", () => {
  const { status, stdout } = program(`ended(); later("StreamResetError");`);
  assert.deepEqual([status, stdout], [0, ""]);
});

test("any other error ends the program as it does without the library", () => {
  const { status, stderr } = program(`later("TypeError");`);
  assert.equal(status, 1);
  assert.match(stderr, /by TypeError\n    at /);
});

test("a program's own listener decides about its errors", () => {
  const { status, stdout } = program(
    `process.on("uncaughtException", ({ message }) => console.log("heard", message)); later("TypeError");`,
  );
  assert.deepEqual([status, stdout], [0, "heard by TypeError\n"]);
});
