import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import {
  closeOf,
  startHost,
  targetOf,
  within,
} from "../../test/support/network.ts";
import { isShoalError, ShoalError } from "../lib/index.ts";
import type { FrameStream } from "../network/index.ts";
import {
  MIB,
  randomBytes,
  swarmNode,
  wanted,
  type SwarmNode,
} from "../../test/fakes/transfer.ts";
import {
  type Answer,
  AnswerType,
  AskType,
  decodeAnswer,
  encodeAsk,
  encodeInterest,
  MAX_ANSWER_BYTES,
  MAX_ASK_BYTES,
  Reason,
  TORRENT_PROTOCOL,
  WHOLE,
} from "./wire.ts";

const BYTES = randomBytes(4 * MIB);

/** A peer that sends requests by hand. */
class RequestingPeer {
  readonly stream: FrameStream;
  readonly answers: Answer[] = [];
  #look: () => void = () => {};

  private constructor(stream: FrameStream) {
    this.stream = stream;
    stream.onFrame((frame) => {
      const answer = decodeAnswer(frame);
      if (answer.type === AnswerType.Piece) answer.data = answer.data.slice();
      this.answers.push(answer);
      this.#look();
    });
  }

  static async of(t: TestContext, node: SwarmNode): Promise<RequestingPeer> {
    const host = await startHost(t);
    const target = targetOf(node.host, "TCP");
    return new RequestingPeer(
      await host.openStream(target, TORRENT_PROTOCOL, {
        maxFrameBytes: MAX_ANSWER_BYTES,
        maxSendFrameBytes: MAX_ASK_BYTES,
      }),
    );
  }

  interest(channel: number, root: string): void {
    void this.stream.send(encodeInterest(channel, root));
  }

  ask(type: 2 | 3 | 4 | 5, channel: number, number?: number): void {
    void this.stream.send(encodeAsk(type, channel, number));
  }

  /** The first matching answer, past or future. */
  when(matches: (answer: Answer) => boolean, what: string): Promise<Answer> {
    return within(
      new Promise((resolve) => {
        this.#look = () => {
          const found = this.answers.find(matches);
          if (found !== undefined) resolve(found);
        };
        this.#look();
      }),
      what,
    );
  }

  async type(type: Answer["type"]): Promise<Answer> {
    return await this.when((a) => a.type === type, `answer ${type}`);
  }

  async rejected(piece: number): Promise<Reason> {
    const answer = await this.when(
      (a) => a.type === AnswerType.Reject && a.piece === piece,
      `reject of ${piece}`,
    );
    assert.ok(answer.type === AnswerType.Reject);
    return answer.reason;
  }

  /** The piece is complete. */
  async piece(piece: number): Promise<Uint8Array> {
    const parts = (): Uint8Array[] =>
      this.answers.flatMap((a) =>
        a.type === AnswerType.Piece && a.piece === piece ? [a.data] : [],
      );
    const size = (): number => parts().reduce((sum, p) => sum + p.length, 0);
    await this.when(() => size() === MIB, `piece ${piece}`);
    return Buffer.concat(parts());
  }
}

describe("a holder answers", () => {
  test("with map, hashes and pieces", async (t) => {
    const node = await swarmNode(t);
    const { root, pieceHashes } = node.store.add(BYTES, [0, 2]);
    const asker = await RequestingPeer.of(t, node);
    asker.interest(0, root);
    const map = await asker.type(AnswerType.HaveMap);
    assert.ok(map.type === AnswerType.HaveMap && map.sizeBytes === 4 * MIB);
    assert.deepEqual([...map.bits], [0b101]);
    asker.ask(AskType.AskHashes, 0, 0);
    const hashes = await asker.type(AnswerType.Hashes);
    assert.ok(hashes.type === AnswerType.Hashes);
    assert.equal(Buffer.compare(hashes.hashes, pieceHashes), 0);
    asker.ask(AskType.Request, 0, 2);
    asker.ask(AskType.Request, 0, 1);
    assert.equal(await asker.rejected(1), Reason.NotHere);
    const piece = await asker.piece(2);
    assert.equal(Buffer.compare(piece, BYTES.subarray(2 * MIB, 3 * MIB)), 0);
  });

  test("with later additions and removals", async (t) => {
    const node = await swarmNode(t);
    const asker = await RequestingPeer.of(t, node);
    const other = randomBytes(MIB);
    const { root } = (await swarmNode(t)).store.add(BYTES);
    asker.interest(0, root);
    asker.interest(1, "00".repeat(32));
    assert.equal(await asker.rejected(WHOLE), Reason.NotHere);
    node.store.add(BYTES, [1]);
    await asker.type(AnswerType.HaveMap);
    node.store.add(BYTES, [1, 3]);
    const have = await asker.type(AnswerType.Have);
    assert.ok(have.type === AnswerType.Have && have.verified);
    assert.deepEqual(have.pieces, [3]);
    node.uploads.expect(root, 2);
    const expected = await asker.when(
      (a) => a.type === AnswerType.Have && !a.verified,
      "what is expected",
    );
    assert.ok(expected.type === AnswerType.Have);
    assert.deepEqual(expected.pieces, [2]);
    node.store.add(other);
    node.store.remove(root);
    await asker.when(
      (a) => a.type === AnswerType.Reject && a.reason === Reason.Changed,
      "its end",
    );
    asker.ask(AskType.Request, 0, 1);
    assert.equal(await asker.rejected(1), Reason.NotHere);
  });

  test("with a reject if the file changed or cannot be read", async (t) => {
    const node = await swarmNode(t);
    const { root } = node.store.add(BYTES);
    const errors = [
      new ShoalError("CONTENT_CHANGED", "another file"),
      new ShoalError("FILE_UNREADABLE", "a bad disk"),
    ];
    node.store.readPiece = async () => {
      throw errors.shift() ?? new Error("enough");
    };
    const asker = await RequestingPeer.of(t, node);
    asker.interest(0, root);
    asker.ask(AskType.Request, 0, 0);
    assert.equal(await asker.rejected(0), Reason.Changed);
    asker.ask(AskType.Request, 0, 1);
    assert.equal(await asker.rejected(1), Reason.Unreadable);
  });

  test("only the given peers", async (t) => {
    const node = await swarmNode(t, { upload: { allow: () => false } });
    const { root } = node.store.add(BYTES);
    const asker = await RequestingPeer.of(t, node);
    asker.interest(0, root);
    assert.equal(await asker.rejected(WHOLE), Reason.NotHere);
    asker.ask(AskType.AskHashes, 0, 0);
    asker.ask(AskType.Request, 0, 0);
    assert.equal(await asker.rejected(0), Reason.NotHere);
    assert.equal(node.store.reads, 0);
  });

  test("a cancelled request with its rest or a reject, never twice", async (t) => {
    const node = await swarmNode(t, { upload: { bytesPerSecond: 2 * MIB } });
    const { root } = node.store.add(BYTES);
    const asker = await RequestingPeer.of(t, node);
    asker.interest(0, root);
    for (let i = 0; i < 4; i++) asker.ask(AskType.Request, 0, i);
    await asker.type(AnswerType.Piece);
    for (let i = 0; i < 4; i++) asker.ask(AskType.Cancel, 0, i);
    for (let i = 0; i < 4; i++)
      assert.equal(await asker.rejected(i), Reason.Cancelled);
    // Nothing is left of it: the same can be asked again.
    asker.ask(AskType.Request, 0, 3);
    await asker.piece(3);
    const rejects = asker.answers.filter((a) => a.type === AnswerType.Reject);
    assert.equal(rejects.length, 4);
  });

  test("too many requests with a reject", async (t) => {
    const node = await swarmNode(t, { upload: { bytesPerSecond: 64 * 1024 } });
    const bytes = randomBytes(40 * MIB);
    const { root } = node.store.add(bytes);
    const asker = await RequestingPeer.of(t, node);
    asker.interest(0, root);
    for (let i = 0; i < 40; i++) asker.ask(AskType.Request, 0, i);
    assert.equal(await asker.rejected(39), Reason.TooMany);
    assert.ok(node.store.reads <= 2);
  });
});

test("peers beyond the slots wait, and all are served in turns", async (t) => {
  const upload = { slots: 1, slotTurnMs: 0, bytesPerSecond: 16 * MIB };
  const node = await swarmNode(t, { upload });
  const { root } = node.store.add(BYTES);
  const askers = [
    await RequestingPeer.of(t, node),
    await RequestingPeer.of(t, node),
  ];
  for (const asker of askers) {
    asker.interest(0, root);
    for (let i = 0; i < 4; i++) asker.ask(AskType.Request, 0, i);
  }
  for (const asker of askers) for (let i = 0; i < 4; i++) await asker.piece(i);
  // On a busy machine the slot of the last one may be free by now.
  assert.ok(node.uploads.stats().served <= 1);
  assert.equal(node.uploads.stats().pieces[root], 8);
  const waited = askers.filter(({ answers }) =>
    answers.some((a) => a.type === AnswerType.Slot && !a.served),
  );
  assert.ok(waited.length > 0);
});

test("downloads beyond the slots finish anyway", async (t) => {
  const upload = { slots: 1, slotLingerMs: 10, slotTurnMs: 50 };
  const seeder = await swarmNode(t, { upload });
  const { root } = seeder.store.add(BYTES);
  const nodes = await Promise.all([1, 2, 3].map(() => swarmNode(t)));
  await within(
    Promise.all(
      nodes.map((node) =>
        node.downloads.download({
          ...wanted(root),
          sources: [seeder.spec("QUIC")],
        }),
      ),
    ),
    "three downloads",
  );
  for (const node of nodes)
    assert.equal(Buffer.compare(node.store.bytes(root)!, BYTES), 0);
});

test("uploads keep to their limit", async (t) => {
  const upload = { bytesPerSecond: 8 * MIB };
  const seeder = await swarmNode(t, { upload });
  const nodes = await Promise.all([1, 2].map(() => swarmNode(t)));
  const { root } = seeder.store.add(BYTES);
  const startedMs = performance.now();
  await within(
    Promise.all(
      nodes.map((node) =>
        node.downloads.download({
          ...wanted(root),
          sources: [seeder.spec("TCP")],
        }),
      ),
    ),
    "both",
  );
  const seconds = (performance.now() - startedMs) / 1000;
  assert.ok(seconds > 0.7, `twice 4 MiB at 8 MiB/s took ${seconds} s`);
  // A new limit applies at once.
  seeder.uploads.setLimits({ bytesPerSecond: undefined });
  assert.ok(seeder.uploads.stats().bytes >= 8 * MIB);
});

test("a peer that does not read costs two pieces, not more", async (t) => {
  const node = await swarmNode(t);
  const { root } = node.store.add(randomBytes(32 * MIB));
  const asker = await RequestingPeer.of(t, node);
  asker.stream.onFrame(() => new Promise<void>(() => {}));
  asker.interest(0, root);
  for (let i = 0; i < 16; i++) asker.ask(AskType.Request, 0, i);
  const other = await RequestingPeer.of(t, node);
  other.interest(0, root);
  other.ask(AskType.Request, 0, 31);
  await other.piece(31);
  // Read, sent into its windows, or waiting for them; it requested 16.
  assert.ok(node.store.reads <= 14, `${node.store.reads} pieces were read`);
});

describe("a peer with an impossible request is cut off:", () => {
  const cases: readonly [
    string,
    (asker: RequestingPeer, root: string) => void,
  ][] = [
    ["nonsense", (asker) => void asker.stream.send(Uint8Array.of(99))],
    ["a closed channel", (asker) => asker.ask(AskType.Request, 5, 0)],
    ["a channel out of order", (asker, root) => asker.interest(3, root)],
    [
      "hashes past the end",
      (asker) => asker.ask(AskType.AskHashes, 0, 4_000_000),
    ],
    [
      "a piece twice",
      (asker) => {
        for (let i = 0; i < 3; i++) asker.ask(AskType.Request, 0, 1);
      },
    ],
    [
      "too many contents",
      (asker, root) => {
        for (let i = 1; i < 2_000; i++) asker.interest(i, root);
      },
    ],
  ];
  for (const [name, misbehave] of cases) {
    test(name, async (t) => {
      const node = await swarmNode(t);
      const { root } = node.store.add(BYTES);
      const asker = await RequestingPeer.of(t, node);
      asker.interest(0, root);
      await asker.type(AnswerType.HaveMap);
      misbehave(asker, root);
      const error = await closeOf(asker.stream);
      assert.ok(isShoalError(error, "STREAM_CLOSED"), String(error));
      await node.events.when(
        ({ fields }) => typeof fields.peer === "string",
        "the event",
      );
      assert.equal(node.uploads.stats().peers, 0);
    });
  }

  test("the third time for good", async (t) => {
    const node = await swarmNode(t);
    const host = await startHost(t);
    const open = (): Promise<FrameStream> =>
      host.openStream(targetOf(node.host, "TCP"), TORRENT_PROTOCOL, {
        maxFrameBytes: MAX_ANSWER_BYTES,
      });
    for (let i = 0; i < 3; i++) {
      const stream = await open();
      const closed = closeOf(stream);
      stream.onFrame(() => {});
      void stream.send(Uint8Array.of(99));
      await closed;
    }
    const cut = new Promise<void>((resolve) => {
      host.onPeer(({ type }) => {
        if (type === "disconnected") resolve();
      });
    });
    // Whether or not it opened before it was cut, it ends.
    const error = await open().then(closeOf, (thrown: unknown) => thrown);
    assert.ok(isShoalError(error, "STREAM_CLOSED"), String(error));
    await within(cut, "the end of the connection");
    const counted = node.events.seen.filter(({ fields }) => "peer" in fields);
    assert.equal(counted.length, 3);
  });
});
