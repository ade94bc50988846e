/** What a membership needs of its process. */
import type { Clock, EventSink, ShoalError } from "../lib/index.ts";
import type { Commands, Host } from "../network/index.ts";
import type { Capacity } from "./announcement.ts";
import type { LoadShardRequest } from "./node-commands.ts";
import type { Presence } from "./presence.ts";

export interface MembershipOptions {
  host: Host;
  commands: Commands;
  events: EventSink;
  cluster: string;
  /** Of a process in several clusters, the same for each membership; default: its own. */
  presence?: Presence;
  /** For how long things last. */
  clock?: Clock;
  /** What the time is. */
  wallMs?: () => number;
  random?: () => number;
  /** What the node offers, asked at each announcement. */
  capacity?: () => Capacity;
  /** It relays for members that cannot reach each other. */
  relays?: boolean | undefined;
  /**
   * A member requests that a shard be loaded. Resolves once it is accepted; throws the reason otherwise. Without it LOAD_SHARD is unknown
   * here.
   */
  onLoadShard?: (request: LoadShardRequest, from: string) => Promise<void>;
  /** Another process runs with this identity, and longer: this one must stop, and announces nothing more. The error is IDENTITY_IN_USE. */
  onIdentityTaken?: (error: ShoalError) => void;
}
