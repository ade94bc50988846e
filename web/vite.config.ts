/** Builds the page into dist/page: diagnostics and a conversation. Nothing is inline (its policy forbids that), nothing from elsewhere. */
import { join } from "node:path";
import { defineConfig } from "vite";

export default defineConfig({
  root: import.meta.dirname,
  build: {
    outDir: "../dist/page",
    emptyOutDir: true,
    target: "es2023",
    // What has es2023 need not have light-dark() yet: it is written out for these.
    cssTarget: ["chrome110", "firefox115", "safari16.4"],
    assetsInlineLimit: 0,
    rolldownOptions: {
      input: ["index.html", "chat.html"].map((name) =>
        join(import.meta.dirname, name),
      ),
    },
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    // For work on the page: `npx vite web` beside a running rendezvous.
    proxy: {
      "/api": "http://127.0.0.1:51821",
      "/metrics": "http://127.0.0.1:51821",
      "/v1": "http://127.0.0.1:51822",
    },
  },
});
