/** Which model a request is for. */
import type {
  Arrival,
  Backend,
  ModelNames,
  ServedModel,
} from "../inference/index.ts";
import { ShoalError } from "../lib/index.ts";

/** The models that are known, each with an id of its own: where two clusters have one of the same name, the cluster stands before it. */
export function servedModels(backend: Backend): ServedModel[] {
  return withOwnIds(backend).map(({ model }) => model);
}

/** Those that can answer now. */
export function readyModels(backend: Backend): ServedModel[] {
  return withOwnIds(backend)
    .filter(({ one }) => one.notReady() === undefined)
    .map(({ model }) => model);
}

function withOwnIds(backend: Backend): { one: Backend; model: ServedModel }[] {
  const known = backend.each().flatMap((one) => {
    const model = one.model();
    return model === undefined ? [] : [{ one, model }];
  });
  return known.map(({ one, model }) => {
    const isOnly =
      known.filter((other) => other.model.id === model.id).length === 1;
    const id = isOnly ? model.id : `${one.names().cluster}/${model.id}`;
    return { one, model: { ...model, id } };
  });
}

/** The model of that name, even if it cannot answer now. Throws MODEL_UNKNOWN; SWARM_NOT_READY while none is known. */
export function knownModel(backend: Backend, name: string): ServedModel {
  const found = chosen(backend, name);
  if (found instanceof ShoalError) throw found;
  const model = found.model();
  if (model === undefined) throw found.notReady() ?? noModel();
  return model;
}

/** Whichever is served, even if it cannot answer now. Throws SWARM_NOT_READY while none is known. */
export function anyModel(backend: Backend): ServedModel {
  const model = backend.model();
  if (model === undefined) throw backend.notReady() ?? noModel();
  return model;
}

/** The same, able to answer: waits for it, as long as the backend does. Without a name, the only one. */
export async function readyModel(
  backend: Backend,
  name: string | undefined,
  arrival: Arrival,
): Promise<ServedModel> {
  return await backend.whenReady(() => {
    const found = chosen(backend, name);
    if (found instanceof ShoalError) return found;
    return found.notReady() ?? found.model() ?? noModel();
  }, arrival);
}

/** Whose model has that name; why none has yet. Throws MODEL_UNKNOWN. */
function chosen(
  backend: Backend,
  name: string | undefined,
): Backend | ShoalError {
  const all = backend.each();
  const [only] = all;
  if (only === undefined) {
    const why = backend.notReady() ?? noModel();
    if (why.code === "MODEL_UNKNOWN") throw why;
    return why;
  }
  const isOne = all.length === 1;
  if (name === undefined) {
    if (isOne) return only;
    throw unknown("the request names no model", all);
  }
  const named = all.filter((one) => isCalled(one.names(), name));
  const found = named.find((one) => one.notReady() === undefined) ?? named[0];
  if (found !== undefined) return found;
  // Of a cluster that nobody has told of yet, it may turn out to be the name.
  const untold = all.find((one) => one.names().model === undefined);
  if (untold !== undefined) return untold.notReady() ?? noModel();
  const shown = JSON.stringify(name.slice(0, 128));
  throw unknown(`no model ${shown} is served here`, all);
}

function isCalled(names: ModelNames, name: string): boolean {
  const { cluster, model, manifest } = names;
  return [cluster, model, manifest, `${cluster}/${model}`].includes(name);
}

/** Of a long list, the error names so many. */
const MOST_NAMED = 32;

function unknown(what: string, all: readonly Backend[]): ShoalError {
  const models = new Set(all.flatMap((one) => one.names().model ?? []));
  const named = [...models]
    .slice(0, MOST_NAMED)
    .map((model) => JSON.stringify(model))
    .join(", ");
  const more = models.size > MOST_NAMED ? ", …" : "";
  return new ShoalError(
    "MODEL_UNKNOWN",
    `${what}; this gateway serves ${named === "" ? "none that is known yet" : named}${more}`,
    { param: "model" },
  );
}

export function noModel(): ShoalError {
  return new ShoalError(
    "SWARM_NOT_READY",
    "no model is known yet: no node has joined",
    { waitingFor: "a node to join" },
  );
}
