/** What the error codes of the network mean and what to do about them: a part of error-help.ts. */
import type { ErrorCode } from "./errors.ts";

/** Cause and remedy, as in error-help.ts. */
type Help = readonly [cause: string, remedy: string];

export const NETWORK_HELP = {
  IDENTITY_INVALID: [
    "The file with this process's identity key is damaged.",
    "Move the file away. The next start creates a new identity, with a new peer id.",
  ],
  HOME_IN_USE: [
    "Another process of the same role runs from this folder. Two would have one identity and one store.",
    "Stop the other one (the message has its process id where the system tells it), or start this one with a `--home` of its own.",
  ],
  IDENTITY_IN_USE: [
    "Another process runs with this one's identity, and longer: a home was copied to a second machine, or from a backup. The one that was started later stops.",
    "If there shall be two, remove `node.key` and `transfer.key` (of a gateway `gateway.key`, of a seeder `seeder.key` and `seeder-transfer.key`) from the state folder of one: its next start makes a new identity. If it has moved, stop the old one.",
  ],
  ADDRESS_INVALID: [
    "An address is malformed, is not one of this machine's, or may not be used by this user.",
    "Write it as `HOST`, `HOST:PORT` or a multiaddr. Ports below 1024 need privileges.",
  ],
  INVITATION_INVALID: [
    "An invitation was cut off or mistyped on its way, or a newer Shoal made it.",
    "Copy it whole, from `shoal:` to its end, or ask for a new one (`shoal invite`). If it is newer, update this Shoal.",
  ],
  PORT_IN_USE: [
    "Another program listens on that port.",
    "Stop it, or choose another port (`--listen`, `--api-port`, `--diagnostics-port`; 0 means any free port).",
  ],
  BOOTSTRAP_UNREACHABLE: [
    "No bootstrap address answered, or, without one, no member was found in the local network.",
    "Run `shoal doctor --bootstrap HOST`: it tells a wrong name, a closed port and a firewall apart.",
  ],
  DIAL_FAILED: [
    "A connection to a peer or a gateway could not be opened.",
    "Check that the other side runs and that its port is open for UDP and TCP.",
  ],
  PROTOCOL_UNSUPPORTED: [
    "The peer does not speak the protocol that is needed: it has another role or another version.",
    "Check the address, and update the older of the two.",
  ],
  DHT_RECORD_INVALID: [
    "A DHT record is malformed, too large or not signed by its owner.",
    "Nothing: the record is ignored.",
  ],
  DHT_RECORD_REFUSED: [
    "The DHT holds a newer record under that key, or has no room for more.",
    "Nothing: the record is sent again later.",
  ],
  DHT_SELF_TEST_FAILED: [
    "A rendezvous could not store and read a test record in its own DHT.",
    "Restart it. If that does not help, report it with the log.",
  ],
  STREAM_CLOSED: [
    "The other side closed the connection before it had finished.",
    "Try again, and look into the other side's log.",
  ],
  STREAM_OVERFLOW: [
    "A sender queued more than a stream may hold. The stream was closed.",
    "Report it: Shoal's own senders wait for room.",
  ],
  FRAME_TOO_LARGE: [
    "A peer sent a frame above the bound of its protocol. The stream was closed.",
    "Check that both sides run the same version.",
  ],
  FRAME_MALFORMED: [
    "A peer sent bytes that the protocol does not allow. The stream was closed.",
    "Check that both sides run the same version.",
  ],
  COMMAND_UNKNOWN: [
    "The peer does not have that command: it has another role or another version.",
    "Ask a process of the right role, or update the older of the two.",
  ],
  COMMAND_MALFORMED: [
    "A command or its answer does not have the required form.",
    "Check that both sides run the same version, and that the URL is one of Shoal's.",
  ],
  COMMAND_UNAUTHORIZED: [
    "The sender may not do that: it is not a member, not the record's owner, or not at that place in the route.",
    "For a cluster's record: publish with the key (`--home`) that published it first, or choose another cluster name.",
  ],
  RATE_LIMITED: [
    "A peer sends commands or opens streams faster than it may, or an API key has used what it may in a minute.",
    "Wait for the seconds in `Retry-After`, or a few, and send fewer. An operator raises a key's limits in the file of `--api-keys`.",
  ],
  RELAY_LIMIT: [
    "A relay has no room for one more peer or connection, or two peers that are in no cluster of it have sent each other all they may.",
    "The message names the limit. Members of the relay's clusters have far higher ones; another member with `--relay` takes load off it.",
  ],
} satisfies Partial<Record<ErrorCode, Help>>;
