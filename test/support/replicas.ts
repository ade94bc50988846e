/**
 * A cluster in which several nodes hold each stage, so that any of them may be lost: processes on this machine, or each on a machine of its own in
 * a network that a test can cut.
 *
 *     const replicas = await Replicas.start(t, { stages: 3, holders: 2 });
 *     const mend = await FAULTS["its node is killed"].strike(replicas, victim);
 *     await mend();
 *     await replicas.whole();
 */
import { join } from "node:path";
import { splitModel } from "../../src/model/index.ts";
import type { NodeStatus, SessionStatus } from "../../src/status/index.ts";
import { type Member, Members } from "./member.ts";
import type { Place, TestNetwork } from "./namespaces.ts";
import { answering, DEMO_MODEL } from "./swarm.ts";
import { until } from "./until.ts";

/** On machines of their own all take the same ports, before and after a restart. */
const PORT = 51820;
const STATUS_MS = 60_000;

export interface ReplicasOptions {
  stages: number;
  /** Of each stage. */
  holders: number;
  /** Default: the demo model. */
  model?: string;
  /** Each member on a machine of its own there; undefined: all on loopback. */
  network?: TestNetwork | undefined;
  /** Nodes fetch their shards from a seeder and share them on; otherwise they have them in a folder from the start. */
  isFetched?: boolean;
  nodeFlags?: readonly string[];
  gatewayFlags?: readonly string[];
}

/** A member, where it runs. */
export interface Machine {
  readonly name: string;
  readonly place: Place | undefined;
  member: Member;
  peer: string;
  /** Of its status, from here. */
  statusUrl: string;
}

export interface Holder extends Machine {
  readonly stage: number;
  /** When its last process was started. */
  startedMs: number;
}

export class Replicas {
  readonly members: Members;
  readonly options: ReplicasOptions;
  readonly holders: Holder[] = [];
  rendezvous!: Machine;
  gateway!: Machine;
  seeder: Machine | undefined;
  apiUrl = "";
  /** Its name in the API. */
  model = "";
  #bootstrap = "";
  #shardsDir = "";
  #started = 0;

  private constructor(members: Members, options: ReplicasOptions) {
    this.members = members;
    this.options = options;
  }

  static async start(
    t: Parameters<typeof Members.of>[0],
    options: ReplicasOptions,
  ): Promise<Replicas> {
    const replicas = new Replicas(await Members.of(t), options);
    await replicas.#start();
    return replicas;
  }

  /** A cluster beside it that nothing happens to: what its one node answers to the same requests is what all must answer. */
  static async undisturbed(
    t: Parameters<typeof Members.of>[0],
    model: string = DEMO_MODEL,
  ): Promise<Replicas> {
    return await Replicas.start(t, { stages: 1, holders: 1, model });
  }

  /** One more holder, ready to compute. */
  async add(stage: number): Promise<Holder> {
    const place = await this.options.network?.place();
    const name = `node-${this.#started++}`;
    const startedMs = Date.now();
    const machine = await this.#machine(name, place, this.#nodeArgs(stage));
    const holder = { ...machine, stage, startedMs };
    this.holders.push(holder);
    return holder;
  }

  /** After its process has ended: with the same home, so as the same peer. */
  async restart(holder: Holder): Promise<void> {
    holder.startedMs = Date.now();
    const { name, place, stage } = holder;
    Object.assign(
      holder,
      await this.#machine(name, place, this.#nodeArgs(stage)),
    );
  }

  /** Its process has ended for good. */
  forget(holder: Holder): void {
    this.holders.splice(this.holders.indexOf(holder), 1);
  }

  holder(peer: string): Holder {
    const found = this.holders.find((one) => one.peer === peer);
    if (found === undefined) throw new Error(`no node is ${peer}`);
    return found;
  }

  /** As the gateway sees the cluster. */
  async status(): Promise<NodeStatus> {
    return await statusOf(this.gateway);
  }

  /** The gateway sees every holder as ready, by what it said since its last start. */
  async whole(): Promise<void> {
    await until("all nodes to be ready", async () => {
      const [cluster] = (await this.status()).clusters;
      const ready = cluster?.members.filter(({ state }) => state === "ready");
      return this.holders.every(({ peer, startedMs }) =>
        ready?.some((m) => m.peer === peer && m.issuedMs >= startedMs),
      );
    });
  }

  /** A running session that `is`; undefined if there is none and `isOver`. */
  async session(
    is: (session: SessionStatus) => boolean,
    isOver = (): boolean => false,
  ): Promise<SessionStatus | undefined> {
    let found: SessionStatus | undefined;
    await until(
      "a running session",
      async () => {
        const { sessions } = await this.status();
        found = sessions?.recent.find((one) => one.endedMs === null && is(one));
        return found !== undefined || isOver();
      },
      5,
    );
    return found;
  }

  /** Machines of all members but these. */
  placesBut(...these: readonly (Machine | undefined)[]): Place[] {
    const all = [this.rendezvous, this.gateway, this.seeder, ...this.holders];
    return all.flatMap((one) => {
      const place = these.includes(one) ? undefined : one?.place;
      return place === undefined ? [] : [place];
    });
  }

  async #start(): Promise<void> {
    const { network, stages, holders, isFetched = false } = this.options;
    const { model = DEMO_MODEL, gatewayFlags = [] } = this.options;
    const place = async (): Promise<Place | undefined> =>
      await network?.place();
    this.rendezvous = await this.#machine("rendezvous", await place(), [
      "rendezvous",
    ]);
    const { member, peer } = this.rendezvous;
    const [, , host, , port] =
      (await member.ready).addresses[0]?.split("/") ?? [];
    this.#bootstrap = `${host}:${port}/p2p/${peer}`;
    if (isFetched)
      this.seeder = await this.#machine("seeder", await place(), [
        "seed",
        model,
        "--shards",
        String(stages),
        ...this.#joining,
      ]);
    else {
      this.#shardsDir = join(this.members.home, "shards");
      await splitModel({
        path: model,
        shards: stages,
        outDir: this.#shardsDir,
      });
    }
    const serve = ["serve", "--api-port", "0", ...this.#joining];
    const [gateway] = await Promise.all([
      this.#machine("gateway", await place(), [...serve, ...gatewayFlags]),
      ...Array.from({ length: stages * holders }, (_, i) =>
        this.add(i % stages),
      ),
    ]);
    this.gateway = gateway;
    const { url = "" } = await gateway.member.ready;
    this.apiUrl = (await gateway.place?.door(url)) ?? url;
    await answering(this.apiUrl);
    this.model = (await this.status()).clusters[0]?.model ?? "";
    await this.whole();
  }

  get #joining(): string[] {
    return ["--bootstrap", this.#bootstrap, "--cluster", "test"];
  }

  #nodeArgs(stage: number): string[] {
    const { stages, isFetched = false, nodeFlags = [] } = this.options;
    return [
      "node",
      "--threads",
      "1",
      ...(isFetched
        ? ["--shard", String(stage)]
        : ["--shard", `${stage}/${stages}`, "--no-seed"]),
      ...(isFetched ? [] : ["--model-dir", this.#shardsDir]),
      ...this.#joining,
      ...nodeFlags,
    ];
  }

  async #machine(
    name: string,
    place: Place | undefined,
    args: readonly string[],
  ): Promise<Machine> {
    const listen = place === undefined ? "127.0.0.1:0" : place.address;
    const member = this.members.start(
      name,
      [
        ...args,
        "--listen",
        place === undefined ? listen : `${listen}:${PORT}`,
        "--diagnostics-host",
        "127.0.0.1",
        "--diagnostics-port",
        "0",
        "--home",
        join(this.members.home, name),
      ],
      place?.within,
    );
    const { peerId: peer, diagnosticsUrl = "" } = await member.whenReady();
    const statusUrl = (await place?.door(diagnosticsUrl)) ?? diagnosticsUrl;
    return { name, place, member, peer, statusUrl };
  }
}

export async function statusOf({
  statusUrl,
}: Pick<Machine, "statusUrl">): Promise<NodeStatus> {
  const response = await fetch(`${statusUrl}/api/v1/status`, {
    signal: AbortSignal.timeout(STATUS_MS),
  });
  return (await response.json()) as NodeStatus;
}
