/** A reply that is caught while it runs. A fast machine may have ended one before anybody looked: then another one is asked for. */
import type { SessionStatus } from "../../src/status/index.ts";
import type { Replicas } from "./replicas.ts";

const TRIES = 20;

export interface MidReply<T> {
  /** Not ended when it was seen. */
  session: SessionStatus;
  reply: Promise<T>;
}

/** A reply that `begin` asks for, once its session `is`. */
export async function midReply<T>(
  replicas: Replicas,
  begin: () => Promise<T>,
  is: (session: SessionStatus) => boolean,
): Promise<MidReply<T>> {
  for (let tries = 0; tries < TRIES; tries++) {
    const reply = begin();
    let isOver = false;
    const over = (): void => void (isOver = true);
    reply.then(over, over); // whoever waits for it hears of a failure
    const session = await replicas.session(is, () => isOver);
    if (session !== undefined) return { session, reply };
    await reply;
  }
  throw new Error("each reply ended before it was seen");
}
