/**
 * A draining node's side of a hand-over: its engine writes what a running session has so far, and the one node that the session's gateway named
 * fetches it, piece by piece, while the session goes on here.
 */
import { randomBytes } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { promisify } from "node:util";
import { constants, zstdCompress } from "node:zlib";
import { factsPath } from "../engine/index.ts";
import { type EventSink, ShoalError } from "../lib/index.ts";
import { Attached, type Commands } from "../network/index.ts";
import {
  GET_KEPT,
  HAND_OVER_DEFAULTS,
  type KeptPart,
  OFFER_SESSION,
} from "./hand-over-protocol.ts";
import type { StageSession } from "./stage-session.ts";

const compress = promisify(zstdCompress);
/** The fastest one: others take longer than the way takes. */
const LEVEL = { [constants.ZSTD_c_compressionLevel]: 1 };

interface Offer {
  session: StageSession;
  /** The only peer that may fetch it. */
  to: string;
  /** Open, so that nothing here waits for its end before it removes them. */
  files: Record<KeptPart, FileHandle>;
  sizes: Record<KeptPart, number>;
}

export interface GivingOptions {
  commands: Commands;
  events: EventSink;
  /** By its id and the stage's index. */
  sessionOf: (session: string, stage: number) => StageSession | undefined;
}

export class Giving {
  readonly #options: GivingOptions;
  /** By ticket. */
  readonly #offers = new Map<string, Offer>();
  readonly #writing = new Set<StageSession>();

  /** Before the host starts. */
  constructor(options: GivingOptions) {
    this.#options = options;
    const { commands } = options;
    commands.handle(
      OFFER_SESSION.name,
      OFFER_SESSION.params,
      async ({ session, stage, to }, { peer }) =>
        await this.#offer(this.#sessionFor(peer, session, stage), to),
    );
    commands.handle(
      GET_KEPT.name,
      GET_KEPT.params,
      async ({ ticket, of, offset }, { peer }) =>
        await this.#piece(this.#offerFor(peer, ticket), of, offset),
    );
  }

  /** Nobody needs what it had. */
  ended(session: StageSession): void {
    for (const [ticket, offer] of this.#offers)
      if (offer.session === session) this.#close(ticket, offer);
  }

  #sessionFor(peer: string, id: string, stage: number): StageSession {
    const session = this.#options.sessionOf(id, stage);
    if (session?.gateway.peer !== peer)
      throw unauthorized("only a session's gateway may have it handed over");
    // Otherwise its disk could be filled for nothing.
    if (!session.held.draining)
      throw unauthorized("only a stage that drains hands its sessions over");
    return session;
  }

  #offerFor(peer: string, ticket: string): Offer {
    const offer = this.#offers.get(ticket);
    if (offer?.to !== peer)
      throw unauthorized("nothing of that name is handed over to this peer");
    return offer;
  }

  async #offer(session: StageSession, to: string): Promise<object> {
    if (this.#writing.has(session))
      throw new ShoalError("BUSY", "the session is being written already");
    this.#writing.add(session);
    try {
      this.ended(session); // what was offered before
      const { engine } = session.held;
      const { path, tokens, bytes } = await engine.writeSession(session.handle);
      const state = await open(path);
      const facts = await open(factsPath(path)).catch(
        async (error: unknown) => {
          await state.close();
          throw error;
        },
      );
      const offer: Offer = {
        session,
        to,
        files: { state, facts },
        sizes: { state: bytes, facts: (await facts.stat()).size },
      };
      const ticket = randomBytes(16).toString("hex");
      this.#offers.set(ticket, offer);
      if (session.closed) this.#close(ticket, offer);
      else
        this.#options.events.info("SESSION", "a session can be fetched", {
          peer: to,
          tokens,
          bytes,
        });
      return { ticket, tokens, bytes };
    } finally {
      this.#writing.delete(session);
    }
  }

  async #piece(
    { files, sizes }: Offer,
    of: KeptPart,
    offset: number,
  ): Promise<Attached<object>> {
    const sizeBytes = sizes[of];
    const length = Math.min(HAND_OVER_DEFAULTS.pieceBytes, sizeBytes - offset);
    if (length <= 0)
      throw new ShoalError("COMMAND_MALFORMED", "past the end of the file");
    const piece = Buffer.allocUnsafe(length);
    const { bytesRead } = await files[of].read(piece, 0, length, offset);
    const packed = await compress(piece.subarray(0, bytesRead), {
      params: LEVEL,
    });
    return new Attached({ sizeBytes }, packed);
  }

  #close(ticket: string, { files }: Offer): void {
    this.#offers.delete(ticket);
    // What is still being read fails, and tells whoever reads it.
    for (const file of Object.values(files)) file.close().catch(() => {});
  }
}

function unauthorized(what: string): ShoalError {
  return new ShoalError("COMMAND_UNAUTHORIZED", what);
}
