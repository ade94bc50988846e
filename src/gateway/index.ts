/**
 * The cluster as an API over HTTP: OpenAI's, Anthropic's, Ollama's and llama-server's at one address, answers whole or streamed. It knows nothing
 * about shards: a `Backend` says which model is served and whether it can answer, and generates
 * tokens. Here text becomes tokens and tokens become text, a client that leaves frees its resources, and every failure is an answer in
 * the form of its API: a status, a code, a sentence.
 *
 * It listens on loopback without authentication. To open it to others, give it an `apiKey` and put TLS in front; even then the machines
 * that compute an answer see its prompt (docs/ARCHITECTURE.md).
 *
 *     const gateway = createGateway({ backend, events, port: 51822 });
 *     const { url } = await gateway.start(); // new OpenAI({ baseURL: `${url}/v1`, apiKey: "-" })
 *     await gateway.stop();
 */
export { createGateway } from "./gateway.ts";
export type { ReplyPart } from "./api.ts";
export { errorOfAnswer } from "./openai/errors.ts";
export { Keys } from "./keys/keys.ts";
export { GATEWAY_DEFAULTS } from "./options.ts";
export { readyModel } from "./serving.ts";
export { Replies, type ReplyRequest } from "./replies.ts";
