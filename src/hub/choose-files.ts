/**
 * Which files of a repository are the model that was named. As llama.cpp's `-hf` chooses (common/download.cpp, find_best_model), but
 * where that takes the first of several, this asks.
 */
import { compare, formatBytes, ShoalError } from "../lib/index.ts";
import type { HubReference } from "./reference.ts";

export interface NamedFile {
  path: string;
  sizeBytes: number;
}

export interface ChosenModel<F extends NamedFile> {
  /** In order; one, or all of a model in several files. */
  files: F[];
  /** Vision projectors of the repository: not fetched. */
  projectors: string[];
}

interface Candidate<F> {
  /** The path without `-00001-of-00003.gguf`. */
  stem: string;
  /** How many files there should be. */
  count: number;
  files: F[];
}

/** Tried in this order where no quantization was named: small and good, then large and safe. */
const USUAL_TAGS = ["Q4_K_M", "Q8_0"];
/** What lies beside a model under the same ending: llama.cpp's gguf_filename_is_model. */
const NO_MODEL = /mmproj|imatrix|(?:mtp|eagle3|dflash|dspark)-/i;
const SPLIT = /^(.+)-(\d{5})-of-(\d{5})$/;
/** In an error. */
const MAX_LISTED = 40;

/** Throws HUB_NOT_FOUND or HUB_CHOICE, with what there is. */
export function chooseFiles<F extends NamedFile>(
  files: readonly F[],
  reference: HubReference,
): ChosenModel<F> {
  const ggufs = files.filter(({ path }) => /\.gguf$/i.test(path));
  const projectors = ggufs
    .map(({ path }) => path)
    .filter((path) => /mmproj/i.test(nameOf(path)));
  const models = candidatesOf(
    ggufs.filter(({ path }) => !NO_MODEL.test(nameOf(path))),
  );
  const { repo, file, tag } = reference;
  if (models.length === 0)
    throw new ShoalError(
      "HUB_CHOICE",
      `${repo} has no model in GGUF. Look for a repository with GGUF files of the same model, usually named …-GGUF`,
      { repo },
    );
  const chosen =
    file === undefined
      ? byTag(models, reference)
      : byFile(models, ggufs, file, reference);
  if (chosen.files.length < chosen.count)
    throw choice(
      reference,
      `${chosen.stem} consists of ${chosen.count} files, of which ${repo} has ${chosen.files.length}`,
      models,
      { tag: tag ?? "" },
    );
  return { files: chosen.files, projectors };
}

function byFile<F extends NamedFile>(
  models: readonly Candidate<F>[],
  ggufs: readonly F[],
  file: string,
  reference: HubReference,
): Candidate<F> {
  const isIt = (path: string): boolean =>
    path.toLowerCase() === file.toLowerCase();
  const found = models.find((model) =>
    model.files.some(({ path }) => isIt(path)),
  );
  if (found !== undefined) return found;
  const why = ggufs.some(({ path }) => isIt(path))
    ? `${file} is no model but belongs to one`
    : `${reference.repo} has no ${file}`;
  throw choice(reference, why, models, { file });
}

function byTag<F extends NamedFile>(
  models: readonly Candidate<F>[],
  reference: HubReference,
): Candidate<F> {
  const { repo, tag } = reference;
  for (const wanted of tag === undefined ? USUAL_TAGS : [tag]) {
    const found = matching(models, wanted);
    const [first] = found;
    if (first !== undefined && found.length === 1) return first;
    if (found.length > 1)
      throw choice(
        reference,
        `${repo} has ${found.length} models with ${wanted}: name the file`,
        found,
        { tag: wanted },
        (model) => model.files[0]?.path ?? model.stem,
      );
  }
  const [only] = models;
  if (tag === undefined && only !== undefined && models.length === 1)
    return only;
  throw choice(
    reference,
    tag === undefined
      ? `${repo} has no ${USUAL_TAGS.join(" and no ")}: name a quantization`
      : `${repo} has no ${tag}`,
    models,
    { tag: tag ?? "" },
  );
}

/** First by the label at the name's end, so that Q4_K_M is not UD-Q4_K_M; then by the tag between separators anywhere in the path. */
function matching<F>(
  models: readonly Candidate<F>[],
  tag: string,
): Candidate<F>[] {
  const labelled = models.filter(
    ({ stem }) => labelOf(stem)?.toUpperCase() === tag.toUpperCase(),
  );
  if (labelled.length > 0) return labelled;
  const escaped = tag.replaceAll(/[.-]/g, String.raw`\$&`);
  const anywhere = new RegExp(`(?:^|[-._/])${escaped}(?:[-./]|$)`, "i");
  return models.filter(({ stem }) => anywhere.test(stem));
}

/** "Q4_K_M" of "model-Q4_K_M". */
function labelOf(stem: string): string | undefined {
  return /(?:^|[-./])((?:UD-)?[A-Z0-9_]+)$/i.exec(stem)?.[1];
}

function candidatesOf<F extends NamedFile>(
  files: readonly F[],
): Candidate<F>[] {
  const found = new Map<string, Candidate<F>>();
  const sorted = [...files].sort((a, b) => compare(a.path, b.path));
  for (const file of sorted) {
    const name = file.path.replace(/\.gguf$/i, "");
    const [, stem = name, , of = "1"] = SPLIT.exec(name) ?? [];
    const key = `${stem} ${of}`;
    const model = found.get(key) ?? { stem, count: Number(of), files: [] };
    model.files.push(file);
    found.set(key, model);
  }
  return [...found.values()];
}

function choice<F extends NamedFile>(
  { repo }: HubReference,
  why: string,
  models: readonly Candidate<F>[],
  details: { tag?: string; file?: string },
  nameIn: (model: Candidate<F>) => string = (model) =>
    labelOf(model.stem) ?? model.stem,
): ShoalError {
  const listed = models.slice(0, MAX_LISTED).map((model) => {
    const bytes = model.files.reduce((sum, f) => sum + f.sizeBytes, 0);
    return `${nameIn(model)} (${formatBytes(bytes)})`;
  });
  const more = models.length - listed.length;
  if (more > 0) listed.push(`${more} more`);
  return new ShoalError(
    "HUB_CHOICE",
    `${why}. There is: ${listed.join(", ")}`,
    { repo, ...details },
  );
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
