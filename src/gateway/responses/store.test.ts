/** What is kept of responses, how long, how much of it, and for whom. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { HandClock } from "../../../test/support/clock.ts";
import { isShoalError } from "../../lib/index.ts";
import type { Item } from "./items.ts";
import {
  KEEP_MS,
  type Kept,
  MAX_KEPT,
  MAX_KEPT_BYTES,
  ResponseStore,
} from "./store.ts";

const asked = (text: string): Item => ({
  id: `msg_${text.slice(0, 9)}`,
  type: "message",
  role: "user",
  content: [{ type: "input_text", text }],
});

function kept(id: string, previous?: string, text = id, owner = ""): Kept {
  const answer: Item = {
    id: `out_${id}`,
    type: "function_call",
    status: "completed",
    call_id: "c",
    name: "look",
    arguments: "{}",
  };
  return {
    owner,
    items: [asked(text)],
    response: {
      id,
      object: "response",
      created_at: 1,
      model: "m",
      status: "completed",
      error: null,
      incomplete_details: null,
      instructions: null,
      metadata: null,
      output: [answer],
      access_programs: null,
      parallel_tool_calls: true,
      temperature: 1,
      top_p: 1,
      tool_choice: "auto",
      tools: [],
      previous_response_id: previous ?? null,
    },
  };
}

function stored(): { store: ResponseStore; clock: HandClock } {
  const clock = new HandClock();
  return { store: new ResponseStore({ clock }), clock };
}

/** The code of the error. */
function refused(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    assert.ok(isShoalError(error), String(error));
    return error.code;
  }
  return assert.fail("nothing was thrown");
}

test("a conversation is what was asked and answered, the oldest first", () => {
  const { store } = stored();
  store.keep(kept("a"));
  store.keep(kept("b", "a"));
  store.keep(kept("c", "b"));
  store.keep(kept("d", "a"));
  const ids = (id: string): unknown[] =>
    store.before(id, "").map(({ id }) => id);
  assert.deepEqual(ids("c"), [
    "msg_a",
    "out_a",
    "msg_b",
    "out_b",
    "msg_c",
    "out_c",
  ]);
  assert.deepEqual(ids("d"), ["msg_a", "out_a", "msg_d", "out_d"]);
  assert.equal(store.item("out_b", "").id, "out_b");
});

test("what is not there is an error, of the path or of the field", () => {
  const { store } = stored();
  store.keep(kept("a"));
  store.keep(kept("b", "a"));
  store.delete("a", "");
  assert.equal(
    refused(() => store.get("a", "")),
    "NOT_FOUND",
  );
  assert.equal(
    refused(() => store.delete("a", "")),
    "NOT_FOUND",
  );
  assert.equal(
    refused(() => store.before("b", "")),
    "REQUEST_INVALID",
  );
  assert.equal(
    refused(() => store.before("x", "")),
    "REQUEST_INVALID",
  );
  assert.equal(
    refused(() => store.item("msg_a", "")),
    "REQUEST_INVALID",
  );
  assert.equal(store.get("b", "").response.id, "b");
});

test("a response is there for its owner alone", () => {
  const { store } = stored();
  store.keep(kept("a", undefined, "a", "ann"));
  for (const owner of ["", "bob"]) {
    assert.equal(
      refused(() => store.get("a", owner)),
      "NOT_FOUND",
    );
    assert.equal(
      refused(() => store.delete("a", owner)),
      "NOT_FOUND",
    );
    assert.equal(
      refused(() => store.before("a", owner)),
      "REQUEST_INVALID",
    );
    assert.equal(
      refused(() => store.item("msg_a", owner)),
      "REQUEST_INVALID",
    );
    store.keep(kept(`${owner}-b`, "a", "x", owner));
    assert.equal(
      refused(() => store.before(`${owner}-b`, owner)),
      "REQUEST_INVALID",
    );
  }
  assert.equal(store.before("a", "ann").length, 2);
});

test("it is forgotten an hour after it was last used, with what came before it", async () => {
  const { store, clock } = stored();
  store.keep(kept("a"));
  store.keep(kept("alone"));
  await clock.pass(KEEP_MS - 1);
  store.keep(kept("b", "a"));
  await clock.pass(1);
  assert.deepEqual([store.size, store.before("b", "").length], [2, 4]);
  await clock.pass(KEEP_MS - 1);
  assert.equal(store.size, 2);
  await clock.pass(1);
  assert.deepEqual([store.size, store.bytes], [0, 0]);
});

test("too many: what was not used for longest goes first, a conversation's beginning last", () => {
  const { store } = stored();
  store.keep(kept("a"));
  store.keep(kept("b", "a"));
  for (let i = 0; i < MAX_KEPT - 2; i++) store.keep(kept(`x${i}`));
  store.keep(kept("c", "b"));
  assert.equal(store.size, MAX_KEPT);
  assert.equal(
    refused(() => store.get("x0", "")),
    "NOT_FOUND",
  );
  assert.equal(store.before("c", "").length, 6);
});

test("too large: bytes are bounded, and one that is too large for all is not kept", () => {
  const { store } = stored();
  const quarter = "x".repeat(MAX_KEPT_BYTES / 8);
  for (const id of ["a", "b", "c", "d"])
    store.keep(kept(id, undefined, quarter));
  assert.equal(store.size, 3);
  assert.ok(store.bytes <= MAX_KEPT_BYTES);
  assert.equal(
    refused(() => store.get("a", "")),
    "NOT_FOUND",
  );
  store.keep(kept("e", undefined, "x".repeat(MAX_KEPT_BYTES / 2)));
  assert.equal(
    refused(() => store.get("e", "")),
    "NOT_FOUND",
  );
  assert.equal(store.size, 3);
});
