/** A member that sees that the cluster is ready tells its neighbours, which should see it too. */
import type { Commands } from "../network/index.ts";
import { SWARM_READY } from "./protocol.ts";
import { CALL_TIMEOUT_MS } from "./rendezvous-link.ts";
import type { ClusterView } from "./view.ts";

/** Neighbours that are told. */
const HINTS = 8;

export interface ReadyHintOptions {
  commands: Commands;
  cluster: string;
  /** Whom it may tell, the most important first. */
  hear: () => readonly string[];
  members: () => number;
  /** A neighbour sees something else: ask it for its records. */
  onOtherView: (peer: string) => void;
}

export class ReadyHint {
  readonly #options: ReadyHintOptions;
  #wasReady = false;

  constructor(options: ReadyHintOptions) {
    this.#options = options;
  }

  /** Call it with each view. */
  look(view: ClusterView | undefined): void {
    const ready = view?.ready === true;
    const became = ready && !this.#wasReady;
    this.#wasReady = ready;
    if (!became) return;
    const { commands, cluster, hear, members, onOtherView } = this.#options;
    const { manifest } = view;
    const params = { cluster, manifest, members: members() };
    for (const peer of [...new Set(hear())].slice(0, HINTS)) {
      commands
        .call(peer, SWARM_READY.name, params, SWARM_READY.result, {
          timeoutMs: CALL_TIMEOUT_MS,
        })
        .then(
          (seen) => {
            if (!seen.ready) onOtherView(peer);
          },
          () => {}, // a hint: the records themselves are in flight
        );
    }
  }
}
