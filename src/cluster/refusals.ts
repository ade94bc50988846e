/** How often announcements were refused, by reason. The list of reasons is closed, so nobody can make it grow. */

const REFUSALS = [
  /** Not signed by the peer it names. */
  "forged",
  "expired",
  "malformed",
  "oversized",
  /** Of another protocol version. */
  "version",
  /** Older than what is known: replayed, or late. */
  "stale",
  /** Of another cluster. */
  "foreign",
  /** The sender announces another peer. */
  "impostor",
  /** Of another model than the cluster's record names, or of another plan. */
  "mismatch",
  /** More than one peer or one cluster may have. */
  "full",
  /** A suspicion of somebody who is not connected to it, or too many. */
  "suspicion",
  /** Not the next value of its record's chain. */
  "renewal",
] as const;
export type Refusal = (typeof REFUSALS)[number];

export class Refusals {
  #counts = new Map<Refusal, number>();

  add(reason: Refusal): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1);
  }

  /** The reason in the error's details; without one it is malformed. */
  addError(error: { details: { reason?: unknown } }): void {
    const { reason } = error.details;
    this.add(REFUSALS.find((known) => known === reason) ?? "malformed");
  }

  toObject(): Record<string, number> {
    return Object.fromEntries(this.#counts);
  }
}
