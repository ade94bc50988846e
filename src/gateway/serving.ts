/** Which model a request is for. */
import type { Arrival, Backend, ServedModel } from "../inference/index.ts";
import { ShoalError } from "../lib/index.ts";

/** The model of that name, even if it cannot answer now. Throws MODEL_UNKNOWN; SWARM_NOT_READY while none is known. */
export function knownModel(backend: Backend, name: string): ServedModel {
  const model = anyModel(backend);
  checkName(model, name);
  return model;
}

/** Whichever is served, even if it cannot answer now. Throws SWARM_NOT_READY while none is known. */
export function anyModel(backend: Backend): ServedModel {
  const model = backend.model();
  if (model === undefined) throw backend.notReady() ?? noModel();
  return model;
}

/** The same, able to answer: waits for it, as long as the backend does. Without a name, whichever there is. */
export async function readyModel(
  backend: Backend,
  name: string | undefined,
  arrival: Arrival,
): Promise<ServedModel> {
  return await backend.whenReady(() => {
    const model = backend.model();
    if (model !== undefined && name !== undefined) checkName(model, name);
    return backend.notReady() ?? model ?? noModel();
  }, arrival);
}

function checkName(model: ServedModel, name: string): void {
  if (name === model.id || name === model.manifestId) return;
  const message = `no model ${JSON.stringify(name.slice(0, 128))} is served here; this gateway serves ${JSON.stringify(model.id)}`;
  throw new ShoalError("MODEL_UNKNOWN", message, { param: "model" });
}

export function noModel(): ShoalError {
  return new ShoalError(
    "SWARM_NOT_READY",
    "no model is known yet: no node has joined",
    { waitingFor: "a node to join" },
  );
}
