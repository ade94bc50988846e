/** Turns a schema into rules: finds what it refers to, multiplies out what must hold together, and writes a rule for each kind of value. */
import type { GrammarBuilder } from "./builder.ts";
import { oneOf } from "./gbnf.ts";
import { mayBothMatch } from "./schema-disjoint.ts";
import { below, unsupported } from "./schema-errors.ts";
import { kindRule, type Visit } from "./schema-kinds.ts";
import {
  isObject,
  readKeywords,
  type JsonObject,
  type Keywords,
} from "./schema-keywords.ts";
import { mergeKeywords } from "./schema-merge.ts";
import { findReference } from "./schema-reference.ts";

/** Schemas inside schemas. OpenAI allows 10; generated ones have a dozen. */
const MAX_DEPTH = 64;
/** A small schema with many references can ask for a huge grammar. */
const MAX_VISITS = 20_000;
/** What `allOf` and `anyOf` multiply out to at one place. */
const MAX_ALTERNATIVES = 100;

/** Where in the schema, and the name of its rule. */
export interface Place {
  path: string;
  name: string;
  depth: number;
}

/** A schema being visited, or what it became. */
interface Visited {
  /** Its rule's name, if it was met again within itself. */
  name?: string;
  done: boolean;
  rule?: string | undefined;
}

export class SchemaCompiler {
  #builder: GrammarBuilder;
  #root: unknown;
  #visited = new Map<JsonObject, Visited>();
  #visits = 0;

  constructor(builder: GrammarBuilder, root: unknown) {
    this.#builder = builder;
    this.#root = root;
  }

  /** The symbol to match the whole schema. */
  compile(name: string): string {
    const rule = this.#visit(this.#root, { path: "$", name, depth: 0 });
    if (rule === undefined) throw unsupported("$", "no value fulfils it");
    return rule;
  }

  /** A symbol, or nothing where no value fulfils the schema. */
  #visit: Visit = (schema, place) => {
    this.#count(place);
    if (schema === true) return this.#builder.addJson("value");
    if (schema === false) return undefined;
    if (!isObject(schema)) throw unsupported(place.path, "expected a schema");
    const known = this.#visited.get(schema);
    if (known !== undefined) {
      if (known.done) return known.rule;
      return (known.name ??= this.#builder.reserve(place.name));
    }
    const visited: Visited = { done: false };
    this.#visited.set(schema, visited);
    const rule = this.#compileObject(schema, place);
    visited.done = true;
    if (visited.name === undefined) return (visited.rule = rule);
    if (rule === undefined || rule === visited.name)
      throw unsupported(place.path, "it refers to itself without an end");
    this.#builder.define(visited.name, rule);
    return (visited.rule = visited.name);
  };

  #count({ path, depth }: Place): void {
    if (depth > MAX_DEPTH)
      throw unsupported(path, `it is nested deeper than ${MAX_DEPTH}`);
    if (++this.#visits > MAX_VISITS)
      throw unsupported(path, `it has more than ${MAX_VISITS} schemas`);
  }

  #compileObject(schema: JsonObject, place: Place): string | undefined {
    const keywords = readKeywords(schema, place.path);
    const { $ref, anyOf, oneOf: exactlyOne, allOf } = schema;
    const combined = [$ref, anyOf, exactlyOne, allOf].filter(
      (value) => value !== undefined,
    );
    // A schema that only refers or chooses keeps the rules of what it names; the rest is multiplied out.
    if (combined.length === 1 && asksNothing(keywords)) {
      if ($ref !== undefined) return this.#follow($ref, place);
      if (anyOf !== undefined)
        return this.#union(branches(schema, "anyOf", place), place);
      if (exactlyOne !== undefined)
        return this.#union(this.#exclusive(schema, place), place);
    }
    const rules = this.#alternatives(schema, place).map((one, index, all) =>
      kindRule(
        one,
        all.length === 1 ? place : inside(place, `${index}`, place.path),
        this.#builder,
        this.#visit,
      ),
    );
    return this.#choice(rules, place);
  }

  #follow(reference: unknown, place: Place): string | undefined {
    const found = findReference(this.#root, reference, place.path);
    return this.#visit(found.schema, { ...found, depth: place.depth + 1 });
  }

  #union(
    schemas: readonly (readonly [path: string, schema: unknown])[],
    place: Place,
  ): string | undefined {
    const rules = schemas.map(([path, schema], index) =>
      this.#visit(schema, inside(place, `${index}`, path)),
    );
    return this.#choice(rules, place);
  }

  #choice(
    rules: readonly (string | undefined)[],
    place: Place,
  ): string | undefined {
    const possible = rules.filter((rule) => rule !== undefined);
    if (possible.length < 2) return possible[0];
    return this.#builder.addRule(
      place.name,
      oneOf(possible).replace(/^\((.*)\)$/, "$1"),
    );
  }

  /** Each way to fulfil all that the schema asks for. */
  #alternatives(schema: unknown, place: Place): Keywords[] {
    this.#count(place);
    if (schema === false) return [];
    if (schema !== true && !isObject(schema))
      throw unsupported(place.path, "expected a schema");
    const own = schema === true ? {} : schema;
    let found = [readKeywords(own, place.path)];
    const meet = (others: readonly Keywords[]): void => {
      found = multiply(found, others, place.path);
    };
    const deeper = (path: string, inner: unknown): Keywords[] =>
      this.#alternatives(inner, inside(place, "", path));
    if (own.$ref !== undefined) {
      const target = findReference(this.#root, own.$ref, place.path);
      meet(deeper(target.path, target.schema));
    }
    if (own.allOf !== undefined)
      for (const [path, inner] of branches(own, "allOf", place))
        meet(deeper(path, inner));
    if (own.anyOf !== undefined)
      meet(
        branches(own, "anyOf", place).flatMap(([path, inner]) =>
          deeper(path, inner),
        ),
      );
    if (own.oneOf !== undefined)
      meet(
        this.#exclusive(own, place).flatMap(([path, inner]) =>
          deeper(path, inner),
        ),
      );
    return found;
  }

  /** The branches of a `oneOf`, if what one branch's rule writes never fulfils another branch. */
  #exclusive(schema: JsonObject, place: Place): [string, unknown][] {
    const listed = branches(schema, "oneOf", place);
    const read = listed.map(([path, inner]) =>
      this.#alternatives(inner, inside(place, "", path)),
    );
    const overlap = read.some((written, i) =>
      read.some(
        (judged, j) =>
          i !== j &&
          written.some((a) =>
            judged.some((b) => mayBothMatch(a, b, this.#root)),
          ),
      ),
    );
    if (overlap)
      throw unsupported(
        below(place.path, "oneOf"),
        'two branches may match one value: use "anyOf", or a required property with a different "const" in each',
      );
    return listed;
  }
}

function asksNothing(keywords: Keywords): boolean {
  const { path, required, prefixItems, patterns, formats, ...rest } = keywords;
  const lists = [required, prefixItems, patterns, formats];
  return (
    path !== "" &&
    lists.every((list) => list.length === 0) &&
    Object.keys(rest).length === 0
  );
}

function branches(
  schema: JsonObject,
  keyword: "allOf" | "anyOf" | "oneOf",
  place: Place,
): [path: string, schema: unknown][] {
  const path = below(place.path, keyword);
  const listed = schema[keyword];
  if (!Array.isArray(listed) || listed.length === 0)
    throw unsupported(path, "expected a list of schemas");
  return listed.map((inner, index) => [below(path, index), inner]);
}

function multiply(
  a: readonly Keywords[],
  b: readonly Keywords[],
  path: string,
): Keywords[] {
  if (a.length * b.length > MAX_ALTERNATIVES)
    throw unsupported(path, `it has more than ${MAX_ALTERNATIVES} cases`);
  return a.flatMap((one) =>
    b.flatMap((other) => mergeKeywords(one, other) ?? []),
  );
}

function inside(place: Place, name: string, path: string): Place {
  return {
    path,
    name: name === "" ? place.name : `${place.name}-${name}`,
    depth: place.depth + 1,
  };
}
