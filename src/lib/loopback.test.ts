import assert from "node:assert/strict";
import { test } from "node:test";
import { isLoopback } from "./loopback.ts";

test("loopback is this machine's own name and addresses, and no name that looks like them", () => {
  const hosts: Record<string, boolean> = {
    localhost: true,
    "127.0.0.1": true,
    "127.8.9.1": true,
    "::1": true,
    "0:0:0:0:0:0:0:1": true,
    "::ffff:127.0.0.1": true,
    "127.0.0.1.example.org": false,
    "127.example": false,
    "localhost.example.org": false,
    "128.0.0.1": false,
    "0.0.0.0": false,
    "::": false,
    "": false,
  };
  for (const [host, expected] of Object.entries(hosts))
    assert.equal(isLoopback(host), expected, host);
});
