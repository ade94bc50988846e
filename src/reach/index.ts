/**
 * How this machine is reached, and how it reaches others. Nobody knows by himself at which address others see him, or whether they can dial
 * it: a router lies between. So it asks the peer through which it joined: that tells where it sees the asker, and dials it there, from a
 * socket that no router can have seen. What was reached is announced.
 *
 *     serveDialBack({ host, commands });             // at every member and rendezvous
 *     const reach = new OwnAddresses({ host, commands, events });
 *     reach.start();
 *     void reach.joined(rendezvous);                 // again after each loss
 *     reach.onChange(() => console.log(reach.state));
 *
 * Hole punching: two members that cannot reach each other ask their rendezvous (`PunchService`), which sees through its `Reflector` which
 * ports their routers gave them, and has both send at the right moment (`Puncher`). Nothing sits in the path afterwards.
 *
 *     const reflector = new Reflector();
 *     await reflector.start(["0.0.0.0"], 51830);
 *     new PunchService({ host, commands, events, reflector, areMembers }).start();
 *
 *     const puncher = new Puncher({ host, commands, events });
 *     puncher.start();
 *     puncher.use(rendezvous);
 *
 * Two peers that cannot reach each other are connected through a third that relays, encrypted from end to end: a rendezvous, or a member that
 * offers it (`RelayLimits`, `serveRelay`). A node that others cannot reach keeps places at relays (`Relays`) and announces its addresses
 * there; they are dialled last.
 */
export { DIAL_BACK, REACH_ME, serveDialBack } from "./dial-back.ts";
export {
  OwnAddresses,
  type OwnAddressesOptions,
  REACH,
  type ReachState,
} from "./own-addresses.ts";
export type { Port } from "./ports.ts";
export { PunchService } from "./punch-service.ts";
export { Puncher } from "./puncher.ts";
export { Reflector, REFLECTOR } from "./reflector.ts";
export { RELAY_LIMITS, RelayLimits } from "./relay-limits.ts";
export { serveRelay } from "./relay-service.ts";
export { Relays } from "./relays.ts";
