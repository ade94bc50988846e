import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../test/support/random.ts";
import { FairQueue } from "./fair-queue.ts";

interface Asked {
  prompt: number;
  reply: number;
}

/** Sessions that each compute a token a step, and flows that ask again and again. */
class Sessions {
  readonly queue = new FairQueue<Asked>();
  readonly got = new Map<string, number>();
  #running: { flow: string; left: number }[] = [];
  readonly #places: number;

  constructor(places: number) {
    this.#places = places;
  }

  ask(flow: string, asked: Asked): void {
    this.queue.push(flow, asked);
    this.#fill();
  }

  step(): void {
    for (const session of this.#running) {
      this.#count(session.flow, 1);
      session.left--;
    }
    this.#running = this.#running.filter(({ left }) => left > 0);
    this.#fill();
  }

  #fill(): void {
    for (
      let head = this.queue.head;
      head !== undefined && this.#running.length < this.#places;
      head = this.queue.head
    ) {
      this.queue.remove(head);
      this.queue.begins(head.flow);
      this.#count(head.flow, head.item.prompt);
      this.#running.push({ flow: head.flow, left: head.item.reply });
    }
  }

  #count(flow: string, tokens: number): void {
    this.queue.charge(flow, tokens);
    this.got.set(flow, (this.got.get(flow) ?? 0) + tokens);
  }
}

test("flows that always have something waiting get equal tokens, whatever the number and length of their requests", () => {
  const random = new Random(7);
  const between = (least: number, most: number): number =>
    least + random.below(most - least + 1);
  const flows: Record<string, { waiting: number; asks: () => Asked }> = {
    "long prompts": {
      waiting: 2,
      asks: () => ({ prompt: between(200, 300), reply: between(5, 10) }),
    },
    "long replies": {
      waiting: 2,
      asks: () => ({ prompt: between(5, 10), reply: between(200, 300) }),
    },
    "many short ones": {
      waiting: 100,
      asks: () => ({ prompt: between(5, 10), reply: between(5, 10) }),
    },
    anything: {
      waiting: 10,
      asks: () => ({ prompt: between(1, 300), reply: between(1, 300) }),
    },
  };
  const sessions = new Sessions(4);
  for (let step = 0; step < 20_000; step++) {
    for (const [flow, { waiting, asks }] of Object.entries(flows))
      while (sessions.queue.waitingOf(flow) < waiting)
        sessions.ask(flow, asks());
    sessions.step();
  }
  const got = [...sessions.got.values()];
  const mean = got.reduce((sum, tokens) => sum + tokens, 0) / got.length;
  // The paper's bound: twice the longest request, for each place.
  for (const [flow, tokens] of sessions.got)
    assert.ok(Math.abs(tokens - mean) < 0.05 * mean, `${flow}: ${tokens}`);
});

test("a flow that was away has no credit for it, and one that was given much while nobody else asked owes nothing", () => {
  const sessions = new Sessions(1);
  const asked = { prompt: 0, reply: 10 };
  sessions.ask("early", { prompt: 0, reply: 5_000 });
  for (let step = 0; step < 5_000; step++) sessions.step();
  for (let i = 0; i < 50; i++) {
    sessions.ask("early", asked);
    sessions.ask("late", asked);
  }
  for (let step = 0; step < 400; step++) sessions.step();
  assert.deepEqual(
    [sessions.got.get("early")! - 5_000, sessions.got.get("late")],
    [200, 200],
  );
});

test("within a flow, who came first has the first turn; one who left is passed over", () => {
  const queue = new FairQueue<string>();
  const [first, second, third] = ["1", "2", "3"].map((n) => queue.push("a", n));
  assert.equal(queue.head, first);
  assert.equal(queue.remove(second!), true);
  assert.equal(queue.remove(second!), false);
  assert.equal(queue.remove(first!), true);
  assert.equal(queue.head, third);
  assert.equal(queue.size, 1);
});

test("the last of the longest flow is who makes room", () => {
  const queue = new FairQueue<number>();
  for (const n of [1, 2, 3]) queue.push("many", n);
  queue.push("few", 4);
  assert.equal(queue.lastOfLongest(3)?.item, 3);
  assert.equal(queue.lastOfLongest(4), undefined);
});

test("the tokens of flows long gone are forgotten, those of waiting ones are not", () => {
  const queue = new FairQueue<string>();
  queue.push("there", "waiting");
  queue.charge("there", 100);
  for (let i = 0; i < 10_000; i++) {
    const entry = queue.push(`flow ${i}`, "");
    queue.charge(entry.flow, 1);
    queue.remove(entry);
  }
  queue.push("new", "");
  queue.charge("new", 1);
  assert.equal(queue.head?.flow, "there");
});
