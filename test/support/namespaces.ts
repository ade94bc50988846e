/**
 * A private network for tests: a router and machines behind it, each a network namespace with a cable to the router. What the router does
 * not forward is lost silently, as behind a broken switch. Nothing of it is visible outside: the host has no address in it, and a namespace
 * lives as long as its keeper process (door-keeper.ts), which ends with the test in any case.
 */
import { type ChildProcess, fork, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import type { MemberOptions } from "./member.ts";

const KEEPER = join(import.meta.dirname, "door-keeper.ts");
const SLOW_LINK = join(import.meta.dirname, "slow-link.ts");

/** Why there can be none here; false if there can. */
export const namespacesMissing: string | false = whyNot();

/** Why no link can be slow here; false if it can. */
export const slowLinksMissing: string | false =
  namespacesMissing || whyNotSlow();

function whyNotSlow(): string | false {
  const make = "ip tuntap add slow mode tun && ip rule add iif lo lookup 100";
  return spawnSync("unshare", ["-n", "sh", "-ec", make]).status === 0
    ? false
    : "no TUN devices or routing rules here";
}

function whyNot(): string | false {
  if (process.getuid?.() !== 0) return "network namespaces need root";
  for (const tool of ["ip", "iptables"])
    if (spawnSync(tool, ["-V"]).status !== 0) return `${tool} is not here`;
  const make =
    "ip link add left type veth peer name right && iptables -w -A FORWARD -j DROP && echo 1 > /proc/sys/net/ipv4/ip_forward";
  return spawnSync("unshare", ["-n", "sh", "-c", make]).status === 0
    ? false
    : "no network namespaces here";
}

export interface SlowLink {
  oneWayMs: number;
  /** Share of the packets that are lost, 0 to 1. */
  loss?: number;
  /** Which are lost. */
  seed?: number;
}

export class TestNetwork implements AsyncDisposable {
  readonly #router: Namespace;
  readonly #places: Place[] = [];
  readonly #slow = new Set<ChildProcess>();
  #numbered = 0;
  #slowed = 0;

  readonly #range: string;

  private constructor(router: Namespace, range: string) {
    this.#router = router;
    this.#range = range;
  }

  /** By default of the range for tests of networks (RFC 2544): never an address of anybody's, and none that is private. */
  static async create(range = "198.18"): Promise<TestNetwork> {
    const router = await Namespace.create();
    router.run("echo 1 > /proc/sys/net/ipv4/ip_forward");
    return new TestNetwork(router, range);
  }

  /** One more machine. */
  async place(): Promise<Place> {
    const number = ++this.#numbered;
    const namespace = await Namespace.create();
    const [router, address] = [1, 2].map(
      (host) => `${this.#range}.${number}.${host}`,
    );
    try {
      this.#router.run(
        `ip link add to${number} type veth peer name cable netns ${namespace.pid} && ip addr add ${router}/30 dev to${number} && ip link set to${number} up`,
      );
      const plug = { addresses: [`${address}/30`], routers: [router!] };
      const place = new Place(namespace, number, plug);
      this.#places.push(place);
      return place;
    } catch (error) {
      await namespace.end();
      throw error;
    }
  }

  /** From now on nothing of `from` arrives at `to`. Returns what undoes it, twice without harm. */
  drop(
    from: readonly Place[],
    to: readonly Place[],
    only: "" | "udp" | "tcp" = "",
  ): () => void {
    const protocol = only === "" ? "" : `-p ${only}`;
    const rule = `${protocol} -s ${listed(from)} -d ${listed(to)} -j DROP`;
    this.#router.run(`iptables -w -A FORWARD ${rule}`);
    let dropping = true;
    return () => {
      if (dropping) this.#router.run(`iptables -w -D FORWARD ${rule}`);
      dropping = false;
    };
  }

  /** Nothing passes between the two groups, either way. */
  cut(some: readonly Place[], others: readonly Place[]): () => void {
    const undo = [this.drop(some, others), this.drop(others, some)];
    return () => undo.forEach((heal) => heal());
  }

  /**
   * From now on every packet between the two groups takes so long each way, and some are lost. Of several slow links between two places the
   * newest counts. Returns what undoes it, twice without harm: packets on their way are lost.
   */
  async slow(
    some: readonly Place[],
    others: readonly Place[],
    { oneWayMs, loss = 0, seed = 1 }: SlowLink,
  ): Promise<() => Promise<void>> {
    const number = ++this.#slowed;
    const device = `slow${number}`;
    const link = spawn(
      "nsenter",
      [
        ...this.#router.enter,
        process.execPath,
        SLOW_LINK,
        ...[device, oneWayMs, loss, seed].map(String),
      ],
      { stdio: ["pipe", "pipe", "inherit"] },
    );
    this.#slow.add(link);
    const exited = once(link, "exit");
    await Promise.race([
      once(link.stdout, "data"),
      exited.then(() => {
        throw new Error("no slow link: its process ended");
      }),
    ]);
    // Newer rules before older ones, and all before the main table; what comes back from the device takes the main table.
    const how = `lookup ${1000 + number} priority ${10_000 - number}`;
    const rules = [...directions(some, others), ...directions(others, some)]
      .map(([from, to]) => `iif to${from.number} to ${to.address}/32 ${how}`)
      .filter((rule, i, all) => all.indexOf(rule) === i);
    const settings = "/proc/sys/net/ipv4/conf";
    this.#router.run(
      [
        `for each in all ${device}; do echo 0 > ${settings}/$each/rp_filter; done`,
        `ip link set ${device} mtu 1500 txqueuelen 10000 up`,
        `ip route add default dev ${device} table ${1000 + number}`,
        ...rules.map((rule) => `ip rule add ${rule}`),
      ].join("\n"),
    );
    return async () => {
      if (!this.#slow.delete(link)) return;
      if (link.exitCode !== null || link.signalCode !== null)
        throw new Error("a slow link's process ended before");
      this.#router.run(rules.map((rule) => `ip rule del ${rule}`).join("\n"));
      link.kill("SIGKILL");
      await exited;
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const link of this.#slow) link.kill("SIGKILL");
    const all = [this.#router, ...this.#places.map((p) => p.namespace)];
    await Promise.all(all.map((namespace) => namespace.end()));
  }
}

/** Where a machine's network card leads. */
export interface Plug {
  /** Of the machine, with the lengths of their networks: "198.18.3.2/30". */
  addresses: readonly string[];
  /** The router's address of each family. */
  routers: readonly string[];
}

/** For a shell: the card's addresses and routes. A card that goes down forgets its routes and its IPv6 addresses, so this is for every time. */
export function plugIn(card: string, { addresses, routers }: Plug): string {
  const family = (address: string): string =>
    address.includes(":") ? "-6" : "-4";
  return [
    `ip link set ${card} up`,
    ...addresses.map((address) => {
      const atOnce = family(address) === "-6" ? "nodad" : "";
      return `ip ${family(address)} addr replace ${address} dev ${card} ${atOnce}`;
    }),
    ...routers.map(
      (router) =>
        `ip ${family(router)} route replace default via ${router} dev ${card}`,
    ),
  ].join("\n");
}

/** A machine of the network. */
export class Place {
  readonly namespace: Namespace;
  readonly number: number;
  /** Of each family at most one. */
  readonly addresses: readonly string[];
  readonly #plugIn: string;

  /** Its cable is there already, with the router at the other end. */
  constructor(namespace: Namespace, number: number, plug: Plug) {
    this.namespace = namespace;
    this.number = number;
    this.addresses = plug.addresses.map((a) => a.replace(/\/\d+$/, ""));
    this.#plugIn = plugIn("cable", plug);
    namespace.run(`ip link set lo up\n${this.#plugIn}`);
  }

  get address(): string {
    return this.addresses[0]!;
  }

  /** For a Member that is to run there. */
  get within(): MemberOptions {
    return {
      execPath: "nsenter",
      execArgv: [...this.namespace.enter, process.execPath],
    };
  }

  /** Takes its network card down: it has no route any more, and knows at once. Returns what undoes it, twice without harm. */
  unplug(): () => void {
    this.namespace.run("ip link set cable down");
    let unplugged = true;
    return () => {
      if (unplugged) this.namespace.run(this.#plugIn);
      unplugged = false;
    };
  }

  /** The same URL of its loopback, from here. */
  async door(url: string): Promise<string> {
    const { port } = new URL(url);
    return `http://127.0.0.1:${await this.namespace.door(Number(port))}`;
  }
}

export class Namespace {
  readonly #keeper: ChildProcess;
  readonly #exited: Promise<unknown>;

  private constructor(keeper: ChildProcess) {
    this.#keeper = keeper;
    this.#exited = once(keeper, "exit");
  }

  static async create(): Promise<Namespace> {
    const keeper = fork(KEEPER, [], {
      execPath: "unshare",
      execArgv: ["--net", process.execPath],
    });
    return await Namespace.#of(keeper, once(keeper, "message"));
  }

  /** Without doors: for routers, of which there are many. */
  static async closed(): Promise<Namespace> {
    const keeper = spawn(
      "unshare",
      ["--net", "sh", "-c", "echo here && exec cat"],
      { stdio: ["pipe", "pipe", "inherit"] }, // it ends with its input
    );
    return await Namespace.#of(keeper, once(keeper.stdout, "data"));
  }

  /** It speaks from inside. */
  static async #of(
    keeper: ChildProcess,
    spoke: Promise<unknown>,
  ): Promise<Namespace> {
    const namespace = new Namespace(keeper);
    await Promise.race([
      spoke,
      namespace.#exited.then(() => {
        throw new Error("no namespace: its keeper ended");
      }),
    ]);
    return namespace;
  }

  get pid(): number {
    return this.#keeper.pid ?? Number.NaN;
  }

  get enter(): string[] {
    return [`--net=/proc/${this.pid}/ns/net`];
  }

  run(script: string): void {
    const how = { encoding: "utf8", timeout: 10_000 } as const;
    const shell = [...this.enter, "sh", "-ec", script];
    const { status, stderr, error } = spawnSync("nsenter", shell, how);
    if (status !== 0)
      throw new Error(`${script}: ${stderr || String(error ?? status)}`);
  }

  /** A port of this process' loopback that leads to `port` of the loopback in there: the keeper gets the listening socket. */
  async door(port: number): Promise<number> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port: here } = server.address() as AddressInfo;
    await new Promise<void>((resolve, reject) => {
      this.#keeper.send({ port }, server, {}, (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
    server.close();
    return here;
  }

  async end(): Promise<void> {
    if (this.#keeper.exitCode === null && this.#keeper.signalCode === null)
      this.#keeper.kill("SIGKILL");
    await this.#exited;
  }
}

function directions(
  from: readonly Place[],
  to: readonly Place[],
): [Place, Place][] {
  return from.flatMap((one) =>
    to
      .filter((each) => each !== one)
      .map((each): [Place, Place] => [one, each]),
  );
}

function listed(places: readonly Place[]): string {
  return places.map(({ address }) => address).join(",");
}
