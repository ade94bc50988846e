/** Writes docs/FAMILIES.md from the recipes and the certificates' cases: `npm run docs`. A test fails where the page is older than they are. */
import { writeFileSync } from "node:fs";
import { REFUSED, type Recipe, SERVED } from "../src/model/index.ts";
import { CASES } from "../test/support/certificate/cases.ts";
import { settingsOf } from "../test/support/certificate/settings.ts";

const HEAD = (served: number): string => `# Model families

Shoal serves ${served} of the architectures that its llama.cpp (v0.5.0) knows. An architecture is the value of \`general.architecture\` in a GGUF:
\`shoal inspect model.gguf\` shows it, and into how many shards the model can be cut.

An architecture is served when its **certificate** holds: a tiny random model of it is cut at every border where it may be cut, and the logits of
its shards equal those of the whole, bit for bit, for a prompt in two chunks and for single tokens after it. \`npm test\` does that for each one
(\`test/integration/certificates.test.ts\`). Where llama.cpp treats a number of layers or a setting specially, that variant has a certificate
too. What cannot be exact is refused by name, with the reason, by \`inspect\`, \`seed\`, \`split\` and \`up\`, before anything is published.

Models that see pictures are served as text.

\`npm run docs\` writes this page from the recipes in \`src/model/recipes/\` and the cases in \`test/support/certificate/\`.

## Served

| architecture | models | where it may be cut | certified with | refused |
|---|---|---|---|---|
`;

const REFUSED_HEAD = `
## Refused

Other architectures that llama.cpp knows:

| architecture | reason |
|---|---|
`;

const TAIL = `
## Add an architecture

1. Add a recipe to \`src/model/recipes/served.ts\`. It says what differs from the usual: the type in \`recipe.ts\` explains each field. Remove the
   name from \`refused.ts\`.
2. Say in \`test/support/certificate/settings.ts\` what a tiny model of it needs, and in \`cases.ts\` which layer counts and settings its source
   (\`src/models/<name>.cpp\` of llama.cpp) treats specially.
3. Run its certificate: \`npm test -- test/integration/certificates.test.ts\`.
4. \`npm run docs\`.
`;

export function familiesPage(): string {
  const served = SERVED.map(
    (recipe) =>
      `| \`${recipe.name}\` | ${recipe.models} | ${bordersOf(recipe)} | ${certifiedWith(recipe.name)} | ${refusalsOf(recipe)} |\n`,
  );
  const refused = Object.entries(REFUSED)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, reason]) => `| \`${name}\` | ${reason} |\n`);
  return (
    HEAD(SERVED.length) +
    served.join("") +
    REFUSED_HEAD +
    refused.join("") +
    TAIL
  );
}

const KINDS: Readonly<Record<string, string>> = {
  recurrent: "a recurrent layer",
  attention: "an attention layer",
  sliding: "a layer with a sliding window",
  full: "a layer with full attention",
  sparse: "a layer of experts",
  indexed: "a layer with an indexer",
  rotating: "a layer with RoPE",
  experts: "a layer with experts",
  compress4: "a layer that compresses 4 tokens",
  compress128: "a layer that compresses 128 tokens",
};

function bordersOf(recipe: Recipe): string {
  const { borderStep = [], borderBefore, needs = [] } = recipe;
  const rules: string[] = [];
  if (borderStep.length > 0) {
    const steps = borderStep.map((step) =>
      typeof step === "number" ? String(step) : `\`${step}\``,
    );
    rules.push(
      `before each layer that is a multiple of ${steps.join(" and ")}`,
    );
  }
  if (recipe.layersOnTokens !== undefined)
    rules.push(`from layer \`${recipe.layersOnTokens}\` on`);
  if (borderBefore !== undefined)
    rules.push(`before ${KINDS[borderBefore] ?? borderBefore}`);
  if (needs.length > 0) {
    const kinds = needs.map((kind) => KINDS[kind] ?? kind);
    rules.push(`each shard holds ${kinds.join(" and ")}`);
  }
  const lengths = recipe.refusedLengths ?? [];
  if (lengths.length > 0)
    rules.push(`no shard has ${lengths.join(" or ")} layers`);
  return rules.length === 0 ? "anywhere" : rules.join("; ");
}

function certifiedWith(name: string): string {
  const cases = CASES.filter(({ architecture }) => architecture === name);
  return cases
    .map(({ architecture, variant, ...options }) => {
      const { layers } = settingsOf(architecture, options).sizes;
      return variant === undefined
        ? `${layers} layers`
        : `${layers} layers ${variant}`;
    })
    .join("; ");
}

function refusalsOf(recipe: Recipe): string {
  return [
    ...(recipe.refusedCounts ?? []).map(({ layers, from, reason }) =>
      layers === undefined
        ? `${from ?? 0} layers or more: ${reason}`
        : `${layers} layers: ${reason}`,
    ),
    ...(recipe.refusedKeys ?? []).map(({ key, above, equal, reason }) =>
      above === undefined
        ? `\`${key}\` ${equal ?? 0}: ${reason}`
        : `\`${key}\` above ${above}: ${reason}`,
    ),
    ...(recipe.refusedWithout ?? []).map(
      ({ key, layers, fromContext, reason }) =>
        layers === undefined
          ? `a context of ${fromContext ?? 0} tokens without \`${key}\`: ${reason}`
          : `${layers.join(" or ")} layers without \`${key}\`: ${reason}`,
    ),
  ].join("; ");
}

if (import.meta.main)
  writeFileSync(new URL("FAMILIES.md", import.meta.url), familiesPage());
