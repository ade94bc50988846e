/**
 * Whose turn it is, where more ask than there is room for: the flow that was given the fewest tokens so far, and within a flow who came first.
 * A flow is whoever shares by one measure: a key, or a client's address.
 *
 * Tokens are counted as they are computed, because nobody knows beforehand how long a reply gets. That is the Virtual Token Counter of Sheng et
 * al., "Fairness in Serving Large Language Models" (OSDI 2024, https://arxiv.org/abs/2401.00588): flows that always have something waiting get
 * equal numbers of tokens, up to what runs at once, and a flow that was away gets no credit for it.
 */
export interface Queued<T> {
  readonly flow: string;
  readonly item: T;
}

interface Flow<T> {
  /** Tokens that it was given, or would have been had it always been there. */
  tokens: number;
  waiting: Queued<T>[];
}

/** Flows whose tokens are remembered while others wait; the longest unused go first. More clients than this do not share one gateway's sessions. */
const MAX_FLOWS = 4_096;

export class FairQueue<T> {
  readonly #flows = new Map<string, Flow<T>>();
  /** Where a flow begins that comes while nobody waits: at the tokens of the one whose turn was last. */
  #last: Flow<T> | undefined;
  #size = 0;

  /** How many wait. */
  get size(): number {
    return this.#size;
  }

  waitingOf(flow: string): number {
    return this.#flows.get(flow)?.waiting.length ?? 0;
  }

  push(flow: string, item: T): Queued<T> {
    const entry = { flow, item };
    this.#present(flow).waiting.push(entry);
    this.#size++;
    return entry;
  }

  /** Whose turn it is. */
  get head(): Queued<T> | undefined {
    return this.#least()?.waiting[0];
  }

  /** Takes an entry out; false if it is out already. */
  remove(entry: Queued<T>): boolean {
    const flow = this.#flows.get(entry.flow);
    const index = flow?.waiting.indexOf(entry) ?? -1;
    if (flow === undefined || index < 0) return false;
    flow.waiting.splice(index, 1);
    this.#size--;
    return true;
  }

  /** The entry that came last in the flow with the most, if that has at least `least`. */
  lastOfLongest(least: number): Queued<T> | undefined {
    let longest: Flow<T> | undefined;
    for (const flow of this.#flows.values())
      if (flow.waiting.length > (longest?.waiting.length ?? 0)) longest = flow;
    if (longest === undefined || longest.waiting.length < least)
      return undefined;
    return longest.waiting.at(-1);
  }

  /** It is the turn of a flow, whether or not it had to wait: those that come while nobody waits begin where this one is. */
  begins(flow: string): void {
    this.#last = this.#flows.get(flow) ?? this.#present(flow);
  }

  /** One came that need not wait. */
  passes(flow: string): void {
    this.#last = this.#present(flow);
  }

  /** Tokens were computed for a flow. */
  charge(flow: string, tokens: number): void {
    const charged = this.#flows.get(flow);
    if (charged !== undefined) charged.tokens += tokens;
  }

  /** Nobody waits and nothing runs: what was is settled. */
  reset(): void {
    if (this.#size > 0) return;
    this.#flows.clear();
    this.#last = undefined;
  }

  /** The flow, brought up to those that were there while it was not. */
  #present(name: string): Flow<T> {
    const flow = this.#flows.get(name) ?? { tokens: 0, waiting: [] };
    if (flow.waiting.length === 0) {
      const floor = (this.#least() ?? this.#last)?.tokens ?? 0;
      flow.tokens = Math.max(flow.tokens, floor);
      // The longest unused come first.
      this.#flows.delete(name);
      this.#flows.set(name, flow);
      this.#forgetOne();
    }
    return flow;
  }

  #least(): Flow<T> | undefined {
    let least: Flow<T> | undefined;
    for (const flow of this.#flows.values())
      if (flow.waiting.length > 0 && !(flow.tokens >= (least?.tokens ?? NaN)))
        least = flow;
    return least;
  }

  #forgetOne(): void {
    if (this.#flows.size <= MAX_FLOWS) return;
    for (const [name, { waiting }] of this.#flows) {
      if (waiting.length > 0) continue;
      this.#flows.delete(name);
      return;
    }
  }
}
