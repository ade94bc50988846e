/** Builds the page into dist/page: one script, one style, nothing inline (its policy forbids that), nothing from elsewhere. */
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
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    // For work on the page: `npx vite web` beside a running rendezvous.
    proxy: {
      "/api": "http://127.0.0.1:51821",
      "/metrics": "http://127.0.0.1:51821",
    },
  },
});
