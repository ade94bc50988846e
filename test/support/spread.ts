/** One seeder and several empty nodes, all at once, each a process of the program: who sent how much? */
import type { Member, Members } from "./member.ts";

export interface SpreadOptions {
  members: Members;
  model: string;
  /** Shards of the plan. */
  shards: number;
  /** Of each node, the shard it wants. */
  wanted: readonly number[];
  /** Bytes per second of the seeder's uplink; undefined: as fast as it goes. */
  uploadLimit?: number | undefined;
}

export interface SpreadResult {
  seederUploadBytes: number;
  /** Of the parts that each node was asked to fetch. */
  wantedBytes: number[];
  nodeUploadBytes: number[];
  nodeDownloadBytes: number[];
  tookMs: number;
}

const FETCHING = /^downloading \d+ parts$/;

export async function spread(options: SpreadOptions): Promise<SpreadResult> {
  const { members, model, shards, wanted, uploadLimit } = options;
  const rendezvous = await members.rendezvous();
  const limit =
    uploadLimit === undefined ? [] : ["--upload-limit", String(uploadLimit)];
  const seeder = members.start("seeder", [
    "seed",
    model,
    "--shards",
    String(shards),
    ...limit,
    ...members.at(rendezvous, "seeder"),
  ]);
  await seeder.whenReady();
  const startMs = performance.now();
  const nodes = wanted.map((shard, i) =>
    members.start(`node ${i}`, [
      "node",
      "--shard",
      String(shard),
      "--threads",
      "1",
      "--context",
      "64",
      ...members.at(rendezvous, `node-${i}`),
    ]),
  );
  await Promise.all(nodes.map((node) => node.whenReady()));
  const tookMs = performance.now() - startMs;
  const wantedBytes = nodes.map(({ seen }) =>
    Number(
      seen.find(({ message }) => FETCHING.test(message))?.fields.sizeBytes,
    ),
  );
  const totals = await Promise.all(nodes.map((node) => totalsOf(node)));
  const { uploaded } = await totalsOf(seeder);
  return {
    seederUploadBytes: uploaded,
    wantedBytes,
    nodeUploadBytes: totals.map((each) => each.uploaded),
    nodeDownloadBytes: totals.map((each) => each.downloaded),
    tookMs,
  };
}

/** What it says at its end; stops it. */
export async function totalsOf(
  member: Member,
): Promise<{ uploaded: number; downloaded: number }> {
  await member.stop();
  const { fields } = await member.when(
    ({ message }) => message === "transfers of this run",
    "the totals",
  );
  return {
    uploaded: Number(fields.uploadedBytes),
    downloaded: Number(fields.downloadedBytes),
  };
}
