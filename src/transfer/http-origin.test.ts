/** An HTTP server as a source, with every possible fault. */
import assert from "node:assert/strict";
import { once } from "node:events";
import {
  createServer,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { describe, test, type TestContext } from "node:test";
import { within } from "../../test/support/network.ts";
import { isShoalError, type ErrorCode } from "../lib/index.ts";
import type { OriginSpec, SourceSpec } from "./source.ts";
import {
  MIB,
  randomBytes,
  swarmNode,
  wanted,
  type SwarmNode,
} from "../../test/fakes/transfer.ts";

/** The original file; the content is two ranges of it with 1000 zeros between. */
const FILE = randomBytes(8 * MIB);
const FIRST = { offset: 100, sizeBytes: 2 * MIB + 5 };
const SECOND = { offset: 5 * MIB, sizeBytes: 2 * MIB };
const BYTES = Buffer.concat([
  FILE.subarray(FIRST.offset, FIRST.offset + FIRST.sizeBytes),
  new Uint8Array(1000),
  FILE.subarray(SECOND.offset, SECOND.offset + SECOND.sizeBytes),
]);

interface Asked {
  request: IncomingMessage;
  response: ServerResponse;
  /** Half-open. */
  from: number;
  to: number;
  /** How many requests came before. */
  count: number;
}

type Handler = (asked: Asked) => void;

function partHead({ response, from, to }: Asked): void {
  response.writeHead(206, {
    "content-range": `bytes ${from}-${to - 1}/${FILE.length}`,
    "content-length": to - from,
  });
}

const honest: Handler = (asked) => {
  partHead(asked);
  asked.response.end(FILE.subarray(asked.from, asked.to));
};

/** Wrong for the first two requests. */
const wrongAtFirst =
  (wrong: Handler): Handler =>
  (asked) =>
    asked.count >= 2 ? honest(asked) : wrong(asked);

/** Endless bytes. */
function flood(response: ServerResponse): void {
  const more = (): void => {
    while (!response.destroyed && response.write(new Uint8Array(65_536)));
  };
  response.on("drain", more);
  more();
}

async function origin(
  t: TestContext,
  handler: Handler,
): Promise<{ spec: OriginSpec; url: string; requests: Asked[] }> {
  const requests: Asked[] = [];
  const server = createServer((request, response) => {
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    const [from, last] = [Number(range?.[1]), Number(range?.[2])];
    const count = requests.length;
    const asked = { request, response, from, to: last + 1, count };
    requests.push(asked);
    handler(asked);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/model.gguf`;
  return {
    url,
    requests,
    spec: {
      kind: "origin",
      ranges: [
        { url, ...FIRST },
        { url: "", offset: 0, sizeBytes: 1000 },
        { url, ...SECOND },
      ],
    },
  };
}

/** A node, and a peer that gives the piece hashes but has only the first piece. */
async function nodes(
  t: TestContext,
): Promise<{ node: SwarmNode; peer: SwarmNode; root: string }> {
  const node = await swarmNode(t, {
    download: { origin: { stallMs: 500, headMs: 1_000 } },
  });
  const peer = await swarmNode(t);
  const { root } = peer.store.add(BYTES, [0]);
  return { node, peer, root };
}

/** Downloads, and checks the result. */
async function fetched(
  node: SwarmNode,
  root: string,
  sources: readonly SourceSpec[],
  bytes: Uint8Array = BYTES,
): Promise<void> {
  const sizeBytes = bytes.length;
  await within(
    node.downloads.download({ ...wanted(root), sizeBytes, sources }),
    "the download",
  );
  assert.equal(Buffer.compare(node.store.bytes(root)!, bytes), 0);
}

describe("an origin", () => {
  test("delivers by ranges what peers do not have", async (t) => {
    const { node, peer, root } = await nodes(t);
    const { spec, requests } = await origin(t, honest);
    await fetched(node, root, [peer.spec("TCP"), spec]);
    assert.ok(requests.length >= 4);
    for (const { from, to, request } of requests) {
      assert.ok(to - from <= MIB);
      assert.equal(request.headers["accept-encoding"], "identity");
    }
  });

  test("suffices alone: it is read once for the hashes and once for the bytes", async (t) => {
    const { node, root } = await nodes(t);
    const { spec, requests } = await origin(t, honest);
    await fetched(node, root, [spec]);
    const served = requests.reduce((sum, { from, to }) => sum + to - from, 0);
    assert.equal(served, 2 * (BYTES.length - 1000));
  });

  test("is followed through a redirect, and asked there directly the next time", async (t) => {
    const { node, peer, root } = await nodes(t);
    const target = await origin(t, honest);
    const { spec, requests } = await origin(t, ({ response }) => {
      response.writeHead(302, { location: target.url }).end();
    });
    await fetched(node, root, [peer.spec("TCP"), spec]);
    assert.ok(requests.length < target.requests.length);
  });
});

interface Fault {
  name: string;
  handler: Handler;
  /** The code of the ban; undefined: it is used again. */
  banned?: ErrorCode;
}

const FAULTS: readonly Fault[] = [
  {
    name: "lies about the bytes",
    handler: (asked) => {
      const bytes = Buffer.from(FILE.subarray(asked.from, asked.to));
      bytes[7] = (bytes[7] ?? 0) ^ 1;
      asked.response.writeHead(206, {
        "content-range": `bytes ${asked.from}-${asked.to - 1}/${FILE.length}`,
      });
      asked.response.end(bytes);
    },
    banned: "PIECE_INVALID",
  },
  {
    name: "ignores ranges",
    handler: ({ response }) => {
      response.writeHead(200, { "content-length": FILE.length });
      response.end(FILE);
    },
    banned: "ORIGIN_INVALID",
  },
  {
    name: "sends a file without end",
    handler: ({ response }) => {
      response.writeHead(200);
      flood(response);
    },
    banned: "ORIGIN_INVALID",
  },
  {
    name: "sends more than it claimed",
    handler: ({ response, from, to }) => {
      response.writeHead(206, {
        "content-range": `bytes ${from}-${to - 1}/${FILE.length}`,
      });
      response.write(FILE.subarray(from, to));
      flood(response);
    },
    banned: "ORIGIN_INVALID",
  },
  {
    name: "sends another range",
    handler: ({ response, from, to }) => {
      response.writeHead(206, {
        "content-range": `bytes ${from + 1}-${to}/${FILE.length}`,
      });
      response.end(FILE.subarray(from + 1, to + 1));
    },
    banned: "ORIGIN_INVALID",
  },
  {
    name: "has a shorter file",
    handler: ({ response }) => {
      response.writeHead(416, { "content-range": "bytes */5" }).end();
    },
    banned: "ORIGIN_INVALID",
  },
  {
    name: "has no such file",
    handler: ({ response }) => void response.writeHead(404).end(),
    banned: "ORIGIN_INVALID",
  },
  {
    name: "compresses",
    handler: ({ response, from, to }) => {
      response.writeHead(206, {
        "content-range": `bytes ${from}-${to - 1}/${FILE.length}`,
        "content-encoding": "gzip",
      });
      response.end("no gzip");
    },
    banned: "ORIGIN_INVALID",
  },
  {
    name: "redirects for ever",
    handler: ({ response, request, count }) => {
      const { host } = request.headers;
      response.writeHead(307, { location: `http://${host}/${count}` }).end();
    },
    banned: "ORIGIN_INVALID",
  },
  {
    name: "redirects to a file of this machine",
    handler: ({ response }) => {
      response.writeHead(302, { location: "file:///etc/passwd" }).end();
    },
    banned: "ORIGIN_INVALID",
  },
  {
    name: "stalls before its answer",
    handler: wrongAtFirst(() => {}),
  },
  {
    name: "stalls in the middle",
    handler: wrongAtFirst((asked) => {
      partHead(asked);
      asked.response.write(FILE.subarray(asked.from, asked.from + 1000));
    }),
  },
  {
    name: "breaks off",
    handler: wrongAtFirst((asked) => {
      const { response, from } = asked;
      partHead(asked);
      response.write(FILE.subarray(from, from + 100_000), () =>
        response.destroy(),
      );
    }),
  },
  {
    name: "is busy, and says until when",
    handler: wrongAtFirst(({ response }) => {
      response.writeHead(429, { "retry-after": "1" }).end();
    }),
  },
  {
    name: "has an internal error",
    handler: wrongAtFirst(({ response }) => {
      response.writeHead(503).end();
    }),
  },
];

describe("an origin that", () => {
  for (const { name, handler, banned } of FAULTS) {
    test(name, async (t) => {
      const { node, peer, root } = await nodes(t);
      const { spec, requests } = await origin(t, handler);
      const done = fetched(node, root, [peer.spec("TCP"), spec]);
      if (banned !== undefined) {
        await node.events.when(
          ({ fields }) => fields.code === banned,
          "the ban",
        );
        // Now somebody else has it.
        peer.store.add(BYTES);
      }
      await done;
      assert.deepEqual(
        node.bans.map(({ reason }) => reason.code),
        banned === undefined ? [] : [banned],
      );
      if (banned === undefined) assert.ok(requests.length > 4);
    });
  }

  test("that sends all of a small file is accepted", async (t) => {
    const node = await swarmNode(t);
    const peer = await swarmNode(t);
    const file = randomBytes(100_000);
    const bytes = file.slice(500, 60_000);
    const { root } = peer.store.add(bytes, []);
    const { url } = await origin(t, ({ response }) => {
      response.writeHead(200, { "content-length": file.length }).end(file);
    });
    const ranges = [{ url, offset: 500, sizeBytes: bytes.length }];
    const sources = [peer.spec("TCP"), { kind: "origin", ranges } as const];
    await fetched(node, root, sources, bytes);
  });

  test("is not an address is not a source", async (t) => {
    const { node, root } = await nodes(t);
    for (const url of ["file:///etc/passwd", "nonsense", "http://a:b@c/"]) {
      await assert.rejects(
        node.downloads.download({
          ...wanted(root),
          unavailableMs: 300,
          sources: [
            { kind: "origin", ranges: [{ url, offset: 0, sizeBytes: 5 }] },
          ],
        }),
        (error) => isShoalError(error, "CONTENT_UNAVAILABLE"),
      );
    }
  });
});
