import assert from "node:assert/strict";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { Events } from "./events.ts";
import { LOG_LINE_COLUMNS, type LogOptions, logReader } from "./log.ts";
import { columnsOf, paintSigns, printable, toAscii } from "./terminal.ts";

const NOON = Date.UTC(2026, 0, 1, 12);

/** What the log writes of the events that `tell` emits. */
function logged(
  options: Partial<LogOptions>,
  tell: (events: Events) => void,
): string {
  let written = "";
  const events = new Events(() => NOON);
  events.subscribe(
    logReader({
      format: "text",
      level: "info",
      write: (line) => (written += line),
      ...options,
    }),
  );
  tell(events);
  return written;
}

test("a line has time, level, tag, message, fields", () => {
  assert.equal(
    logged({}, (events) => {
      events.info("CONNECT", "connected to the bootstrap", {
        peer: "12D3KooW",
        transport: "QUIC",
        relayed: false,
        unknown: undefined,
      });
      events.warn("DHT", "nobody answered", { asked: ["a", "b"] });
      events.error("TORRENT_SYNC", "refused", { reason: "not a member" });
      events.debug("MSG", "not shown");
    }),
    `\
12:00:00.000 info  [CONNECT]      connected to the bootstrap peer=12D3KooW transport=QUIC relayed=false
12:00:00.000 warn  [DHT]          nobody answered asked=a,b
12:00:00.000 error [TORRENT_SYNC] refused reason="not a member"
`,
  );
});

test("in a terminal long lines are broken between words, and begin under the message", () => {
  const written = logged({ width: () => 80 }, (events) =>
    events.info("LISTEN", "listening on every address of this machine", {
      address: "/ip4/192.168.1.27/udp/61490/quic-v1",
      peer: "12D3KooWLc2gCgHfwhTLciZDnD6TfJ6e8UtwrVyRpvKtPQwtL8wa",
    }),
  );
  assert.equal(
    written,
    `\
12:00:00.000 info  [LISTEN]       listening on every address of this machine
                                    address=/ip4/192.168.1.27/udp/61490/quic-v1
                                    peer=12D3KooWLc2gCgHfwhTLciZDnD6TfJ6e8UtwrVyRpvKtPQwtL8wa
`,
  );
});

test("a list of addresses is broken behind its commas in a terminal, and one word elsewhere", () => {
  const tell = (events: Events): void =>
    events.info("LISTEN", "listening", {
      real: [
        "/ip4/192.168.1.27/udp/61490/quic-v1",
        "/ip4/192.168.1.27/tcp/61023",
      ],
    });
  assert.equal(
    logged({ width: () => 80 }, tell),
    `\
12:00:00.000 info  [LISTEN]       listening
                                    real=/ip4/192.168.1.27/udp/61490/quic-v1,
                                    /ip4/192.168.1.27/tcp/61023
`,
  );
  assert.match(logged({}, tell), /quic-v1,\/ip4\/192\.168\.1\.27\/tcp/);
});

test("a terminal too narrow for words beside the tag breaks lines itself", () => {
  const written = logged({ width: () => 40 }, (events) =>
    events.info("SHARD", "loaded: validated, mapped, dry run done"),
  );
  assert.equal(written.split("\n").length, 2);
});

test("a report prints its lines, each with time and tag; JSON has its fields in place of them", () => {
  const tell = (events: Events): void =>
    events.info("STATUS", "swarm ready", { loaded: 2 }, ["Node", "  ✓ ready"]);
  assert.equal(
    logged({}, tell),
    `\
12:00:00.000 info  [STATUS]       Node
12:00:00.000 info  [STATUS]         ✓ ready
`,
  );
  assert.deepEqual(JSON.parse(logged({ format: "json" }, tell)), {
    level: "info",
    time: "2026-01-01T12:00:00.000Z",
    tag: "STATUS",
    loaded: 2,
    msg: "swarm ready",
  });
});

test("JSON: one object a line, and a field never takes the place of the line's own keys", () => {
  const written = logged({ format: "json", level: "warn" }, (events) => {
    events.info("API", "not shown");
    events.warn("API", "a\nb", { tag: "x", level: "y", msg: "z", time: 1 });
    events.error("API", "second");
  });
  const lines = written.trimEnd().split("\n");
  assert.equal(lines.length, 2);
  assert.deepEqual(JSON.parse(lines[0] ?? ""), {
    level: "warn",
    time: "2026-01-01T12:00:00.000Z",
    tag: "API",
    tag_: "x",
    level_: "y",
    msg_: "z",
    time_: 1,
    msg: "a\nb",
  });
});

test("JSON shows no character that commands a terminal, and says the same", () => {
  const text = "a\u001B[1m\u009Bb\u202Ec\u2028d\n";
  const line = logged({ format: "json" }, (events) =>
    events.info("MSG", text, { name: text }),
  );
  assert.doesNotMatch(
    line.slice(0, -1),
    /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/u,
  );
  const { msg, name } = JSON.parse(line) as { msg: string; name: string };
  assert.deepEqual([msg, name], [text, text]);
  assert.ok(line.endsWith("}\n"));
});

test("with colours a line says the same", () => {
  const tell = (events: Events): void => {
    events.warn("CLUSTER", "two words", { n: 1 });
    events.info("STATUS", "", {}, ["  ✗ no"]);
  };
  const colored = logged({ color: true }, tell);
  assert.ok(colored.includes("\u001B[33mwarn "));
  assert.ok(colored.includes("\u001B[31m✗\u001B[39m"));
  assert.equal(
    stripVTControlCharacters(colored),
    logged({ color: false }, tell),
  );
});

test("--ascii: no byte above 127, columns of a report kept", () => {
  const written = logged({ ascii: true, color: true }, (events) => {
    events.info("SWARM", "ready … 2 × 3 → 日本 é", { name: "Čapek" });
    events.info("STATUS", "", {}, ["★ ✓ ○ ↓ ✗ |"]);
  });
  assert.match(
    stripVTControlCharacters(written),
    /ready \.\.\. 2 x 3 -> \?\? e name=Capek/,
  );
  assert.match(stripVTControlCharacters(written), /\* \+ o v x \|/);
  assert.ok(Buffer.from(written).every((byte) => byte < 128));
});

test("what others sent can not command the terminal, nor forge a line", () => {
  const hostile =
    "x\u001B[2J\u0007\u009B1m\r\n12:00:00.000 info  [SWARM] ready\u202Egnp";
  const written = logged({}, (events) => {
    events.warn("CLUSTER", hostile, { name: hostile });
    events.info("STATUS", "", {}, [hostile]);
  });
  assert.equal(written.split("\n").length, 3);
  // Nothing but the line feed at each end.
  assert.doesNotMatch(written.replaceAll("\n", ""), /[\p{Cc}\u202E]/u);
  assert.equal(printable("a\u001Bb\u202Ec\n\t"), String.raw`a\x1bb\u202ec\n\t`);
});

test("signs keep their column in ASCII, and colours take none", () => {
  for (const sign of ["★", "✓", "○", "↓", "✗"]) {
    assert.equal(toAscii(sign).length, 1);
    assert.equal(columnsOf(paintSigns(sign)), 1);
    assert.notEqual(paintSigns(sign), sign);
  }
  assert.equal(LOG_LINE_COLUMNS, 86);
});
