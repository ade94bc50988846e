/** Nodes that come and go beside those that stay. */
import type { Random } from "../test/support/random.ts";
import {
  type Holder,
  type Replicas,
  statusOf,
} from "../test/support/replicas.ts";

const MOST_GUESTS = 6;

export class Guests {
  readonly counts = {
    joined: 0,
    cameBack: 0,
    /** Of a machine with too much to do: its start was given up. */
    couldNotJoin: 0,
    drained: 0,
    killed: 0,
  };
  readonly #replicas: Replicas;
  readonly #random: Random;
  #here: Holder[] = [];
  #gone: Holder[] = [];
  readonly #leaving = new Set<Promise<void>>();

  constructor(replicas: Replicas, random: Random) {
    this.#replicas = replicas;
    this.#random = random;
  }

  /** Does one thing, and says what. */
  async change(): Promise<string> {
    const what = this.#random.below(3);
    const canJoin = this.#here.length < MOST_GUESTS;
    if (this.#here.length === 0 || (what === 0 && canJoin))
      try {
        return await this.#join();
      } catch (error) {
        this.counts.couldNotJoin++;
        return `nobody joined: ${String(error)}`;
      }
    return what === 1 ? this.#drain() : await this.#kill();
  }

  /** Nobody is on its way out. */
  async settled(): Promise<void> {
    await Promise.all(this.#leaving);
  }

  async #join(): Promise<string> {
    const back = this.#random.below(2) > 0 ? this.#take(this.#gone) : undefined;
    if (back !== undefined) {
      await this.#replicas.restart(back);
      this.#replicas.holders.push(back);
      this.#here.push(back);
      this.counts.cameBack++;
      return `${back.name} came back for stage ${back.stage}`;
    }
    const holder = await this.#replicas.add(
      this.#random.below(this.#replicas.options.stages),
    );
    this.#here.push(holder);
    this.counts.joined++;
    return `${holder.name} joined for stage ${holder.stage}`;
  }

  /** Its sessions may take half a minute. */
  #drain(): string {
    const holder = this.#takeGuest();
    const ended = holder.member.stop().then(() => {
      this.#gone.push(holder);
    });
    this.#leaving.add(ended);
    ended.then(
      () => this.#leaving.delete(ended),
      () => {}, // `settled` tells it
    );
    this.counts.drained++;
    return `${holder.name} drains`;
  }

  /** One that computes for somebody, if there is one. */
  async #kill(): Promise<string> {
    const active = await Promise.all(
      this.#here.map(async (holder) => (await statusOf(holder)).sessions),
    );
    const busy = this.#here.filter((_, i) => (active[i]?.active ?? 0) > 0);
    const holder = this.#takeGuest(this.#take(busy));
    await holder.member.kill();
    this.#gone.push(holder);
    this.counts.killed++;
    return `${holder.name} of stage ${holder.stage} was killed`;
  }

  #takeGuest(holder: Holder | undefined = this.#take(this.#here)): Holder {
    if (holder === undefined) throw new Error("nobody is here");
    this.#here = this.#here.filter((one) => one !== holder);
    this.#replicas.forget(holder);
    return holder;
  }

  /** One of them, no longer in the list; undefined if it is empty. */
  #take(all: Holder[]): Holder | undefined {
    return all.splice(this.#random.below(Math.max(1, all.length)), 1)[0];
  }
}
