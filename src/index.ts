/** What `import … from "shoal"` gives: src/library, and nothing else. */
export * from "./library/index.ts";
