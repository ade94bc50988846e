/** A local network for tests: machines at one switch, without a router and without any server. Each is a network namespace. */
import { execFile } from "node:child_process";
import type { MemberOptions } from "./member.ts";
import { Namespace } from "./namespaces.ts";
import { ENTRY } from "./swarm.ts";

export class TestLan implements AsyncDisposable {
  readonly #switch: Namespace;
  readonly #machines: LanMachine[] = [];

  private constructor(at: Namespace) {
    this.#switch = at;
  }

  static async create(): Promise<TestLan> {
    const at = await Namespace.create();
    at.run("ip link add middle type bridge && ip link set middle up");
    return new TestLan(at);
  }

  /** One more machine. Without `multicast` it has no route for it, as one whose network card has no default route. */
  async machine({ multicast = true } = {}): Promise<LanMachine> {
    const number = this.#machines.length + 1;
    const namespace = await Namespace.create();
    const machine = new LanMachine(namespace, `192.168.7.${10 + number}`);
    this.#machines.push(machine);
    this.#switch.run(
      [
        `ip link add to${number} type veth peer name cable netns ${namespace.pid}`,
        `ip link set to${number} master middle up`,
      ].join("\n"),
    );
    namespace.run(
      [
        "ip link set lo up",
        `ip addr add ${machine.address}/24 dev cable`,
        "ip link set cable up",
        ...(multicast ? ["ip route add 224.0.0.0/4 dev cable"] : []),
      ].join("\n"),
    );
    return machine;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const all = [this.#switch, ...this.#machines.map((m) => m.namespace)];
    await Promise.all(all.map((namespace) => namespace.end()));
  }
}

export class LanMachine {
  readonly namespace: Namespace;
  readonly address: string;

  constructor(namespace: Namespace, address: string) {
    this.namespace = namespace;
    this.address = address;
  }

  /** For a Member that is to run there. */
  get within(): MemberOptions {
    return {
      execPath: "nsenter",
      execArgv: [...this.namespace.enter, process.execPath],
    };
  }

  /** The same URL of its loopback, from here. */
  async door(url: string): Promise<string> {
    const { port } = new URL(url);
    return `http://127.0.0.1:${await this.namespace.door(Number(port))}`;
  }

  /** Runs the program there to its end. */
  async shoal(
    args: readonly string[],
  ): Promise<{ code: number; stdout: string; stderr: string }> {
    const shell = [...this.namespace.enter, process.execPath, ENTRY, ...args];
    return await new Promise((resolve) => {
      execFile(
        "nsenter",
        shell,
        { timeout: 120_000 },
        (error, stdout, stderr) =>
          resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
      );
    });
  }
}
