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
 */
export { DIAL_BACK, REACH_ME, serveDialBack } from "./dial-back.ts";
export {
  OwnAddresses,
  type OwnAddressesOptions,
  REACH,
  type ReachState,
} from "./own-addresses.ts";
export type { Port } from "./ports.ts";
