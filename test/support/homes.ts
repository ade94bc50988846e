/**
 * The internet as homes see it: machines with public addresses, and homes behind routers of several kinds. Every machine and every router is
 * a network namespace. All homes use 192.168.1.0/24 and number their machines alike, as homes do. Nothing of it is routed outside.
 */
import { spawnSync } from "node:child_process";
import {
  Namespace,
  namespacesMissing,
  Place,
  type Plug,
  plugIn,
} from "./namespaces.ts";

export const HOME_KINDS = [
  /** A machine with public addresses of its own, IPv4 and IPv6. */
  "open",
  /** Once something left from a port, everybody reaches that port. */
  "full cone",
  /** One port outside for each port inside; whoever was asked may answer, from the port that was asked. */
  "port restricted",
  /** Another port outside for each target. */
  "symmetric",
  /** Port restricted, behind a carrier's router that is the same. */
  "double",
  /** Port restricted; no UDP passes. */
  "udp blocked",
  /** No IPv4, and no translation; only answers come in. */
  "ipv6 only",
] as const;
export type HomeKind = (typeof HOME_KINDS)[number];

export interface HomeOptions {
  /** The router answers what it does not let in, with RST or ICMP, instead of dropping it. */
  refuses?: boolean;
}

/** Why there can be none here; false if there can. */
export const homesMissing: string | false =
  namespacesMissing ||
  (spawnSync("nft", ["-v"]).status === 0 ? false : "nft is not here");

const FORWARD = `echo 1 > /proc/sys/net/ipv4/ip_forward
  echo 1 > /proc/sys/net/ipv6/conf/all/forwarding`;

interface Home {
  router: Namespace;
  machines: number;
  plug: (machine: number) => Plug;
}

export class Homes implements AsyncDisposable {
  readonly #internet: Namespace;
  readonly #namespaces: Namespace[];
  readonly #homes = new Map<Place, Home>();
  #networks = 0;
  #places = 0;

  private constructor(internet: Namespace) {
    this.#internet = internet;
    this.#namespaces = [internet];
  }

  static async create(): Promise<Homes> {
    const internet = await Namespace.closed();
    internet.run(FORWARD);
    return new Homes(internet);
  }

  /** A machine with public addresses of its own, IPv4 first. */
  async public(): Promise<Place> {
    const namespace = this.#keep(await Namespace.create());
    const { plug } = this.#connect(namespace, "cable");
    return new Place(namespace, ++this.#places, plug);
  }

  /** A home of its own, with one machine. */
  async home(
    kind: HomeKind,
    { refuses = false }: HomeOptions = {},
  ): Promise<Place> {
    if (kind === "open") return await this.public();
    const router = this.#keep(await Namespace.closed());
    const home =
      kind === "ipv6 only"
        ? this.#ofIpv6(router, refuses)
        : await this.#translating(router, kind, refuses);
    return await this.#machine(home);
  }

  /** One more machine in the home of this one. */
  async beside(place: Place): Promise<Place> {
    return await this.#machine(this.#homeOf(place));
  }

  /** The router of its home: `wan` is its card outside, `lan` the one inside. */
  routerOf(place: Place): Namespace {
    return this.#homeOf(place).router;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#namespaces.map((namespace) => namespace.end()));
  }

  #homeOf(place: Place): Home {
    const home = this.#homes.get(place);
    if (home === undefined) throw new Error(`${place.address} has no router`);
    return home;
  }

  #keep(namespace: Namespace): Namespace {
    this.#namespaces.push(namespace);
    return namespace;
  }

  async #machine(home: Home): Promise<Place> {
    const namespace = this.#keep(await Namespace.create());
    const number = ++home.machines;
    home.router.run(
      `ip link add lan${number} type veth peer name cable netns ${namespace.pid}
      ip link set lan${number} master lan up`,
    );
    const place = new Place(namespace, ++this.#places, home.plug(number));
    this.#homes.set(place, home);
    return place;
  }

  /** A cable to the internet, with a network of its own. */
  #connect(
    { pid }: Namespace,
    card: string,
    families: "both" | "IPv4" | "IPv6" = "both",
  ): { plug: Plug; network: number } {
    const network = ++this.#networks;
    // Of the range for tests of networks (RFC 2544) and the one for documents (RFC 3849): never an address of anybody's.
    const v4 = `198.18.${network}`;
    const v6 = `2001:db8:${network}:`;
    this.#internet.run(
      `ip link add net${network} type veth peer name ${card} netns ${pid}
      ip addr add ${v4}.1/24 dev net${network}
      ip addr add ${v6}:1/64 dev net${network} nodad
      ip link set net${network} up`,
    );
    const all = {
      IPv4: { addresses: [`${v4}.2/24`], routers: [`${v4}.1`] },
      IPv6: { addresses: [`${v6}:2/64`], routers: [`${v6}:1`] },
    };
    const plugs = families === "both" ? [all.IPv4, all.IPv6] : [all[families]];
    const plug = {
      addresses: plugs.flatMap(({ addresses }) => addresses),
      routers: plugs.flatMap(({ routers }) => routers),
    };
    return { plug, network };
  }

  async #translating(
    router: Namespace,
    kind: HomeKind,
    refuses: boolean,
  ): Promise<Home> {
    const plug =
      kind === "double"
        ? await this.#behindCarrier(router, refuses)
        : this.#connect(router, "wan", "IPv4").plug;
    router.run(
      [
        "ip link set lo up",
        FORWARD,
        ...lan("192.168.1.1/24"),
        ...guard("iptables", refuses),
        ...(kind === "full cone" ? FULL_CONE : translate(kind === "symmetric")),
        ...(kind === "udp blocked"
          ? ["iptables -w -I FORWARD -o wan -p udp -j strangers"]
          : []),
        plugIn("wan", plug),
      ].join("\n"),
    );
    return {
      router,
      machines: 0,
      plug: (machine) => ({
        addresses: [`192.168.1.${9 + machine}/24`],
        routers: ["192.168.1.1"],
      }),
    };
  }

  async #behindCarrier(router: Namespace, refuses: boolean): Promise<Plug> {
    const carrier = this.#keep(await Namespace.closed());
    const { plug, network } = this.#connect(carrier, "wan", "IPv4");
    carrier.run(
      [
        "ip link set lo up",
        FORWARD,
        ...guard("iptables", refuses),
        ...translate(false),
        `ip link add customer type veth peer name wan netns ${router.pid}`,
        `ip addr add 100.64.${network}.1/24 dev customer`,
        "ip link set customer up",
        plugIn("wan", plug),
      ].join("\n"),
    );
    return {
      addresses: [`100.64.${network}.2/24`],
      routers: [`100.64.${network}.1`],
    };
  }

  #ofIpv6(router: Namespace, refuses: boolean): Home {
    const { plug, network } = this.#connect(router, "wan", "IPv6");
    const inside = `2001:db8:${1_000 + network}:`;
    this.#internet.run(
      `ip -6 route add ${inside}:/64 via 2001:db8:${network}::2`,
    );
    router.run(
      [
        "ip link set lo up",
        FORWARD,
        ...lan(`${inside}:1/64`),
        ...guard("ip6tables", refuses),
        plugIn("wan", plug),
      ].join("\n"),
    );
    return {
      router,
      machines: 0,
      plug: (machine) => ({
        addresses: [`${inside}:${9 + machine}/64`],
        routers: [`${inside}:1`],
      }),
    };
  }
}

/** A bridge, with a port for each machine. */
function lan(address: string): string[] {
  return [
    "ip link add name lan type bridge",
    `ip addr add ${address} dev lan ${address.includes(":") ? "nodad" : ""}`,
    "ip link set lan up",
  ];
}

/** Only answers come in, and what is translated to a machine inside. */
function guard(tool: "iptables" | "ip6tables", refuses: boolean): string[] {
  const asked = "-m conntrack --ctstate ESTABLISHED,RELATED,DNAT";
  const unasked = "-m conntrack --ctstate NEW,INVALID";
  const rules = [
    "-N strangers",
    ...(refuses
      ? [
          "-A strangers -p tcp -j REJECT --reject-with tcp-reset",
          "-A strangers -p udp -j REJECT",
        ]
      : []),
    "-A strangers -j DROP",
    `-A FORWARD ${asked} -j ACCEPT`,
    ...(tool === "ip6tables" ? ["-A FORWARD -p icmpv6 -j ACCEPT"] : []),
    "-A FORWARD -i wan -j strangers",
    // Also at the router itself: a stranger's packet that it kept track of would take a port that a machine inside wants.
    `-A INPUT -i wan -p tcp ${unasked} -j strangers`,
    `-A INPUT -i wan -p udp ${unasked} -j strangers`,
  ];
  return rules.map((rule) => `${tool} -w ${rule}`);
}

/** The port outside is the one inside while nobody else has it, or a new one for each target. */
function translate(eachTarget: boolean): string[] {
  const ports = eachTarget ? "--random-fully" : "";
  return [`iptables -w -t nat -A POSTROUTING -o wan -j MASQUERADE ${ports}`];
}

/** iptables cannot remember which port leads to whom. */
const FULL_CONE = [
  `nft -f - <<'END'
table ip cone {
  map opened {
    type inet_proto . inet_service : ipv4_addr
    flags dynamic,timeout
    timeout 2m
  }
  chain out {
    type filter hook forward priority 0
    iifname "lan" meta l4proto { tcp, udp } update @opened { meta l4proto . th sport : ip saddr }
  }
  chain in {
    type nat hook prerouting priority dstnat
    iifname "wan" meta l4proto { tcp, udp } dnat to meta l4proto . th dport map @opened
  }
  chain post {
    type nat hook postrouting priority srcnat
    oifname "wan" masquerade
  }
}
END`,
];
