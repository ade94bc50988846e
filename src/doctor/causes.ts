/**
 * Every cause that `shoal doctor` can name, the most fundamental first: a cause explains those below it, so the first one found is
 * reported. docs/OPERATIONS.md has the same table.
 */
/** Plain data, for the JSON and for the advice. */
export type Facts = Readonly<
  Record<
    string,
    string | number | boolean | readonly (string | number)[] | undefined
  >
>;

export interface Cause {
  code: string;
  /** What to do next. */
  next: (facts: Facts) => string;
}

const say = (value: Facts[string]): string => String(value ?? "?");

export const CAUSES = [
  // before anything is asked
  {
    code: "INVITATION_INVALID",
    next: ({ reason }) =>
      reason === "newer"
        ? "update this Shoal, or ask for an invitation that the same version made"
        : "copy it whole, from shoal: to its end, or ask for a new one: shoal invite",
  },
  {
    code: "BOOTSTRAP_MISSING",
    next: () =>
      "name the cluster, to find members in the local network: --cluster NAME; or the rendezvous or any member: --bootstrap HOST",
  },
  {
    code: "LAN_UNUSABLE",
    next: ({ why }) =>
      `give this machine a way into its network: mDNS needs a network card with a route for multicast (${say(why)}); or name a member: --bootstrap HOST`,
  },
  {
    code: "LAN_EMPTY",
    next: ({ cluster }) =>
      `start a member in this network (shoal node --cluster ${say(cluster)}) and check the cluster's name; if one runs, open UDP port 5353 on both machines, look whether the Wi-Fi keeps its guests apart, or name it: --bootstrap HOST`,
  },
  {
    code: "ADDRESS_MALFORMED",
    next: () =>
      "write it as HOST, HOST:PORT or a multiaddr, as `shoal rendezvous` prints it",
  },
  // the way to the bootstrap
  {
    code: "NAME_UNRESOLVED",
    next: ({ host }) =>
      `check the spelling of ${say(host)} and this machine's DNS, or give the IP address`,
  },
  {
    code: "NO_ROUTE",
    next: () => "check this machine's network: it has no route to that address",
  },
  {
    code: "NOTHING_LISTENS",
    next: ({ place }) =>
      `start \`shoal rendezvous\` at ${say(place)}, or correct the port`,
  },
  {
    code: "BOOTSTRAP_SILENT",
    next: ({ place }) =>
      `check that the machine at ${say(place)} is up, and open its port for UDP and TCP in every firewall on the way`,
  },
  {
    code: "WRONG_PEER",
    next: () =>
      "the server's key changed, or the address belongs to another server: use the id that `shoal rendezvous` prints, or omit /p2p/…",
  },
  {
    code: "NOT_SHOAL",
    next: ({ place }) =>
      `another program listens at ${say(place)}: correct the address, or move one of the two`,
  },
  {
    code: "VERSION_MISMATCH",
    next: ({ ours, theirs }) =>
      `update the older of the two: this one has ${say(ours)}, the other ${say(theirs)}`,
  },
  {
    code: "DHT_BROKEN",
    next: () =>
      "restart the rendezvous and check its [DHT] line: it must say that it stores and answers",
  },
  // this machine
  {
    code: "STATE_UNUSABLE",
    next: ({ path }) =>
      `make ${say(path)} writable for this user, or choose another folder with --home`,
  },
  {
    code: "IDENTITY_DAMAGED",
    next: ({ path }) =>
      `move ${say(path)} away: the next start creates a new identity`,
  },
  {
    code: "IDENTITY_TWICE",
    next: ({ path, place }) =>
      `stop one of the two, if it has moved${place === undefined ? "" : ` (the other runs at ${say(place)})`}; or give one an identity of its own: remove ${path === undefined ? "node.key" : say(path)} and the transfer.key beside it before its next start`,
  },
  {
    code: "PORT_IN_USE",
    next: ({ port }) =>
      `stop the other program on port ${say(port)}, or choose another with --listen`,
  },
  {
    code: "MODEL_DIR_UNREADABLE",
    next: ({ path }) =>
      `check that ${say(path)} is a folder that this user can read`,
  },
  {
    code: "MODEL_DAMAGED",
    next: ({ file }) =>
      `delete ${say(file)} and download it again; without --model-dir the node downloads its shard from the cluster`,
  },
  {
    code: "SHARD_NOT_THERE",
    next: () =>
      "write it with `shoal split`, or omit --model-dir: the node then downloads its shard from the cluster",
  },
  {
    code: "OTHER_MODEL",
    next: () =>
      "use the cluster's model, or another cluster name: one cluster serves one model",
  },
  {
    code: "DISK_FULL",
    next: ({ path, needed }) =>
      `free ${say(needed)} at ${say(path)}, or choose a folder on another disk with --home`,
  },
  {
    code: "GPU_UNAVAILABLE",
    next: () =>
      "run `shoal devices`: it lists what there is, and the command that installs what is missing; or let the CPU compute with --gpu off",
  },
  {
    code: "MEMORY_SHORT",
    next: () =>
      "use a smaller shard (--layers, or more shards), fewer --sessions, a smaller --context, or a machine with more memory",
  },
  {
    code: "SHARD_GIVEN_UP",
    next: ({ shard }) =>
      `free memory, or start the node with fewer --sessions, a smaller --context or a smaller shard; if memory is not the problem, delete the file of shard ${say(shard)} in its data folder: it is then fetched again`,
  },
  // the cluster
  {
    code: "CLUSTER_UNKNOWN",
    next: ({ cluster }) =>
      `check the spelling of ${say(cluster)}; if it is new, publish it with \`shoal seed\` or start its first node`,
  },
  {
    code: "CLUSTER_EMPTY",
    next: ({ cluster }) =>
      `start nodes: shoal node --cluster ${say(cluster)} --bootstrap …`,
  },
  {
    code: "MEMBER_VERSION",
    next: () => "update the refused members; their logs name both versions",
  },
  {
    code: "MEMBER_MODEL",
    next: () =>
      "stop the node with another model or plan, or give it the cluster's",
  },
  {
    code: "SHARD_MISSING",
    next: ({ shard, cluster }) =>
      `start a node for it: shoal node --cluster ${say(cluster)} --shard ${say(shard)} --bootstrap …`,
  },
  {
    code: "SHARD_LEAVING",
    next: ({ shard }) =>
      `its only holder is shutting down: start another node with --shard ${say(shard)}`,
  },
  {
    code: "SHARD_DOWNLOADING",
    next: () =>
      "wait; if the progress stops, look at that node's [TORRENT] lines",
  },
  {
    code: "SHARD_LOADING",
    next: () =>
      "wait; if it takes minutes, look at that node's [TENSOR_LOAD] and [ENGINE] lines",
  },
  {
    code: "PLANS_DIFFER",
    next: () =>
      "start the nodes with shards of one plan: their layers leave a gap or overlap",
  },
  // it works, but
  {
    code: "CLUSTER_BUSY",
    next: ({ shard }) =>
      `start another node with --shard ${say(shard)}, or allow more --sessions there`,
  },
  {
    code: "CLOCK_OFF",
    next: ({ whose }) =>
      `set ${say(whose)} (on Linux: timedatectl set-ntp true): logs disagree, and above an hour TCP connections are refused`,
  },
  {
    code: "MEMBER_CLOCK",
    next: ({ peer }) =>
      `set the clock of the machine of ${say(peer)} (on Linux: timedatectl set-ntp true): logs disagree, and above an hour TCP connections are refused`,
  },
  {
    code: "UDP_BLOCKED",
    next: ({ place }) =>
      `open UDP to ${say(place)} in the firewalls on the way: TCP works, but a lost peer is noticed later and a hop takes longer`,
  },
  {
    code: "TCP_BLOCKED",
    next: ({ place }) =>
      `open TCP to ${say(place)} in the firewalls on the way: members without QUIC cannot join`,
  },
] as const satisfies readonly Cause[];

export type CauseCode = (typeof CAUSES)[number]["code"];
