/** The commands. A command's module is loaded when somebody runs it or asks for its help; the list shows the summaries here. */
import type { Command } from "commander";

export interface CommandEntry {
  name: string;
  summary: string;
  /** `whole` is the program with all of its commands. */
  load: (whole: () => Promise<Command>) => Promise<Command>;
}

/** In the groups of `shoal --help`. */
export const COMMANDS: Readonly<Record<string, readonly CommandEntry[]>> = {
  "Run a cluster:": [
    {
      name: "up",
      summary: "start a whole swarm on this machine and ask it something",
      load: async () => (await import("./up.ts")).upCommand(),
    },
    {
      name: "rendezvous",
      summary: "run the server where the members of clusters meet",
      load: async () => (await import("./rendezvous.ts")).rendezvousCommand(),
    },
    {
      name: "node",
      summary: "hold a shard of the model and compute with it",
      load: async () => (await import("./node.ts")).nodeCommand(),
    },
    {
      name: "serve",
      summary: "offer the API for a cluster's model",
      load: async () => (await import("./serve.ts")).serveCommand(),
    },
    {
      name: "seed",
      summary: "publish a model for a cluster and share it",
      load: async () => (await import("./seed.ts")).seedCommand(),
    },
    {
      name: "invite",
      summary: "print an invitation to a cluster, also as a QR code",
      load: async () => (await import("./invite.ts")).inviteCommand(),
    },
  ],
  "Use a cluster:": [
    {
      name: "chat",
      summary: "ask a cluster and stream its reply",
      load: async () => (await import("./chat.ts")).chatCommand(),
    },
    {
      name: "status",
      summary: "show swarm status (from any member or a local role)",
      load: async () => (await import("./status.ts")).statusCommand(),
    },
    {
      name: "plan",
      summary: "show where the model is cut and where it should be",
      load: async () => (await import("./plan.ts")).planCommand(),
    },
    {
      name: "top",
      summary: "live status of a role; prints once when piped",
      load: async () => (await import("./top.ts")).topCommand(),
    },
    {
      name: "doctor",
      summary: "diagnose why a node cannot connect, is not ready or is slow",
      load: async () => (await import("./doctor.ts")).doctorCommand(),
    },
    {
      name: "get",
      summary: "download what a cluster shares or a model of the hub; or list",
      load: async () => (await import("./get.ts")).getCommand(),
    },
    {
      name: "torrents",
      summary: "list the parts of the model and how many copies each has",
      load: async () => (await import("./torrents.ts")).torrentsCommand(),
    },
  ],
  "Work with model files:": [
    {
      name: "split",
      summary: "cut a GGUF into shards and write its manifest",
      load: async () => (await import("./split.ts")).splitCommand(),
    },
    {
      name: "inspect",
      summary: "show what a file is: a model, a shard or a manifest",
      load: async () => (await import("./inspect.ts")).inspectCommand(),
    },
    {
      name: "verify",
      summary: "prove that shards give the whole model's logits, bit for bit",
      load: async () => (await import("./verify.ts")).verifyCommand(),
    },
  ],
  "Other commands:": [
    {
      name: "devices",
      summary: "list the graphics cards and processors that can compute here",
      load: async () => (await import("./devices.ts")).devicesCommand(),
    },
    {
      name: "completion",
      summary: "print a completion script for bash, zsh or fish",
      load: async (whole) =>
        (await import("./completion/completion.ts")).completionCommand(whole),
    },
  ],
};
