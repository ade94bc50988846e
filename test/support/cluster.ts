/** A cluster whose members are started one by one; each joins through the current `bootstrap`. */
import { join } from "node:path";
import { type Member, type MemberOptions, Members } from "./member.ts";

export class TestCluster {
  readonly members: Members;
  rendezvous: Member;
  /** Where the next member joins: `host:port/p2p/<id>`. */
  bootstrap = "";

  private constructor(members: Members, rendezvous: Member) {
    this.members = members;
    this.rendezvous = rendezvous;
  }

  /** A folder and a rendezvous. */
  static async start(
    t: Parameters<typeof Members.of>[0],
    listen = "127.0.0.1:0",
    options: MemberOptions = {},
  ): Promise<TestCluster> {
    const members = await Members.of(t);
    const at = ["--listen", listen];
    const rendezvous = members.startRendezvous(at, "rendezvous", options);
    const cluster = new TestCluster(members, rendezvous);
    await cluster.#join();
    return cluster;
  }

  /** After it was stopped: in the same place. */
  async restartRendezvous(): Promise<void> {
    const listen = this.bootstrap.replace(/\/p2p\/.*/, "");
    this.rendezvous = this.members.startRendezvous(["--listen", listen]);
    await this.#join();
  }

  async #join(): Promise<void> {
    const { addresses, peerId } = await this.rendezvous.whenReady();
    const [, , host, , port] = (addresses[0] ?? "").split("/");
    this.bootstrap = `${host}:${port}/p2p/${peerId}`;
  }

  /** `shoal <role> …` with the bootstrap, a home of its own by its name, and a free port. */
  start(
    role: string,
    name: string,
    args: readonly string[] = [],
    options: MemberOptions = {},
  ): Member {
    const all = [
      role,
      ...args,
      "--bootstrap",
      this.bootstrap,
      ...(args.includes("--cluster") ? [] : ["--cluster", "test"]),
      "--listen",
      "127.0.0.1:0",
      "--home",
      this.homeOf(name),
    ];
    return this.members.start(name, all, options);
  }

  homeOf(name: string): string {
    return join(this.members.home, name);
  }
}
