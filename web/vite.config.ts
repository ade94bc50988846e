/** Builds the page into web/dist: one script, one style, nothing inline (its policy forbids that), nothing from elsewhere. */
import { defineConfig } from "vite";

export default defineConfig({
  root: import.meta.dirname,
  build: {
    target: "es2023",
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
