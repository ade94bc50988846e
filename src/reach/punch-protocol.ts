/** The commands of hole punching: names and schemas, validated on both sides. docs/PROTOCOL.md lists them. */
import { isIP } from "node:net";
import { z } from "zod";

const peer = z.string().min(1).max(128);
const port = z.number().int().min(1).max(65_535);
const endpoint = z.object({
  host: z
    .string()
    .max(45)
    .refine((host) => isIP(host) !== 0),
  port,
});
/** For people. */
const reason = z.string().max(256).nullable();

export const MAPPINGS = ["same", "by target", "unseen"] as const;

/** member → rendezvous: connect me with this member. Answered once that has been tried. */
export const PUNCH = {
  name: "PUNCH",
  params: z.object({ peer }),
  result: z.object({
    /** What connected them; null: nothing. */
    over: z.enum(["UDP", "TCP"]).nullable(),
    reason,
    mapping: z.object({ own: z.enum(MAPPINGS), theirs: z.enum(MAPPINGS) }),
  }),
} as const;

/** rendezvous → member: send this token to my reflector, from both QUIC sockets, or from a new TCP port. */
export const PUNCH_PROBE = {
  name: "PUNCH_PROBE",
  params: z.object({
    over: z.enum(["UDP", "TCP"]),
    token: z.string().regex(/^[0-9a-f]{32}$/),
    ports: z.array(port).min(1).max(2),
  }),
  result: z.object({ sent: z.boolean(), reason }),
} as const;

/** rendezvous → member: open your router for this peer's socket, by a datagram from your listener. */
export const PUNCH_OPEN = {
  name: "PUNCH_OPEN",
  params: z.object({ peer, to: endpoint }),
  result: z.object({ sent: z.boolean() }),
} as const;

/** rendezvous → member: dial this peer there. Over TCP both dial, from the port that this token was sent from. */
export const PUNCH_DIAL = {
  name: "PUNCH_DIAL",
  params: z.object({
    peer,
    to: endpoint,
    tcp: z
      .object({
        token: z.string().regex(/^[0-9a-f]{32}$/),
        initiator: z.boolean(),
      })
      .nullable(),
  }),
  result: z.object({ connected: z.boolean(), reason }),
} as const;
