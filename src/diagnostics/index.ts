/**
 * What a role knows, over HTTP, read only: `GET /health` and `GET /api/v1/status`. It computes nothing of its own: a role gives it
 * a function that tells its present state, and everybody who asks sees that.
 *
 *     const diagnostics = createDiagnostics({ host: "0.0.0.0", port: 51821, status: () => ({ role: "rendezvous", … }) });
 *     const { url } = await diagnostics.start();
 */
export {
  createDiagnostics,
  DIAGNOSTICS_DEFAULTS,
  type Diagnostics,
  type DiagnosticsOptions,
} from "./server.ts";
