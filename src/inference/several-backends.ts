/** Several clusters behind one gateway. They come and go; each has its model, its queue and its readiness. */
import { ShoalError, systemClock } from "../lib/index.ts";
import { Admission } from "./admission.ts";
import type { Arrival, Backend, ModelNames, ServedModel } from "./backend.ts";
import { Changes } from "./changes.ts";
import type { SessionLog } from "./session-log.ts";
import { READY_DEFAULTS, WaitingRoom } from "./waiting-room.ts";

export interface SeveralBackendsOptions {
  sessions: SessionLog;
  /** How long a request waits; default: READY_DEFAULTS. */
  readyTimeoutMs?: number | undefined;
}

export class SeveralBackends implements Backend {
  readonly #backends = new Map<string, Backend>();
  readonly #changes = new Changes();
  readonly #room: WaitingRoom;

  constructor({ sessions, readyTimeoutMs }: SeveralBackendsOptions) {
    this.#room = new WaitingRoom({
      clock: systemClock,
      timeoutMs: readyTimeoutMs ?? READY_DEFAULTS.timeoutMs,
      admission: new Admission(),
      changes: this.#changes,
      sessions,
    });
  }

  add(cluster: string, backend: Backend): void {
    this.#backends.set(cluster, backend);
    this.changed();
  }

  delete(cluster: string): void {
    this.#backends.delete(cluster);
    this.changed();
  }

  /** One of them is ready now, or no longer, or knows its model. */
  changed(): void {
    this.#changes.tell();
  }

  each(): readonly Backend[] {
    return [...this.#backends.values()];
  }

  names(): ModelNames {
    const none = { cluster: "", model: undefined, manifest: undefined };
    return this.#first()?.names() ?? none;
  }

  model(): ServedModel | undefined {
    return this.#first()?.model();
  }

  maxSessions(): number {
    return sessionsOf(this.each());
  }

  notReady(): ShoalError | undefined {
    const first = this.#first();
    return first === undefined ? noCluster() : first.notReady();
  }

  async whenReady<T extends object>(
    find: () => T | ShoalError,
    arrival: Arrival,
  ): Promise<T> {
    return await this.#room.until(find, arrival);
  }

  #first(): Backend | undefined {
    return firstOf(this.each());
  }
}

export function sessionsOf(backends: readonly Backend[]): number {
  return backends.reduce((sum, one) => sum + one.maxSessions(), 0);
}

/** One that is ready, else one whose model is known, else any. */
export function firstOf(backends: readonly Backend[]): Backend | undefined {
  return (
    backends.find((one) => one.notReady() === undefined) ??
    backends.find((one) => one.model() !== undefined) ??
    backends[0]
  );
}

function noCluster(): ShoalError {
  return new ShoalError("SWARM_NOT_READY", "no cluster is known yet", {
    missingShards: [],
    waitingFor: "a cluster",
  });
}
