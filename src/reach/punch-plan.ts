/**
 * Who dials whom. A router gives a socket a port (its mapping), the same for each target or another for each. Only a socket whose mapping is
 * the same for all can be dialled; so the side with the harder router dials. Pure.
 */
import type { Endpoint } from "../network/index.ts";

/** Where each of the reflector's two ports saw a socket; undefined where nothing arrived. */
export type Seen = readonly [Endpoint | undefined, Endpoint | undefined];

/** A member's two QUIC sockets. */
export interface Sighting {
  listener: Seen;
  dialler: Seen;
}

/** "unseen": no datagram arrived: UDP is blocked, or the member has no such socket. */
export type Mapping = "same" | "by target" | "unseen";

export function mappingOf([first, second]: Seen): Mapping {
  const one = first ?? second;
  const other = second ?? first;
  if (one === undefined || other === undefined) return "unseen";
  return one.host === other.host && one.port === other.port
    ? "same"
    : "by target";
}

/** What is told of a member: its dialling socket says it, and where it has none, the other. */
export function kindOf({ listener, dialler }: Sighting): Mapping {
  const kind = mappingOf(dialler);
  return kind === "unseen" ? mappingOf(listener) : kind;
}

export interface Plan<T> {
  dialler: T;
  /** The dialling socket, which the listener opens its router for. */
  from: Endpoint;
  listener: T;
  /** The listening socket, which is dialled. */
  to: Endpoint;
}

/** Undefined where neither can be dialled. Where both can, the asker dials, unless the other's router is the harder. */
export function planOf<T>(
  asker: { who: T; seen: Sighting },
  target: { who: T; seen: Sighting },
): Plan<T> | undefined {
  const plans = [
    { dialler: asker, listener: target },
    { dialler: target, listener: asker },
  ].flatMap(({ dialler, listener }) => {
    const from = dialler.seen.dialler[0] ?? dialler.seen.dialler[1];
    const to = listener.seen.listener[0] ?? listener.seen.listener[1];
    if (mappingOf(listener.seen.listener) !== "same") return [];
    if (from === undefined || to === undefined) return [];
    const isHard = mappingOf(dialler.seen.dialler) === "by target";
    const plan = { dialler: dialler.who, from, listener: listener.who, to };
    return [{ isHard, plan }];
  });
  return (plans.find(({ isHard }) => isHard) ?? plans[0])?.plan;
}
