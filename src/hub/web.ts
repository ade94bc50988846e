/**
 * Requests to the hub and to other servers. Redirects are followed by hand: the token goes to the hub's own host and to nobody else, and
 * HTTPS never becomes HTTP. What goes wrong is an error with a code; `isPassing` says whether it may pass.
 */
import {
  backoffMs,
  deadline,
  type EventSink,
  fetchFailure,
  formatMs,
  isRedirect,
  isShoalError,
  reasonOf,
  retryAfterMs,
  ShoalError,
  sleep,
  VERSION,
} from "../lib/index.ts";
import type { Limits } from "./defaults.ts";
import { type HubSettings, isPrivate } from "./settings.ts";

export interface WebOptions {
  settings: HubSettings;
  limits: Limits;
  events: EventSink;
}

export interface WebRequest {
  /** What is asked for, in errors: "owner/repo", or a host. */
  what: string;
  headers?: Record<string, string>;
  signal: AbortSignal;
  /** Sees each answer, redirects too: the hub says there what is behind them. */
  onHead?: (headers: Headers) => void;
}

const DAY_MS = 86_400_000;

export class Web {
  readonly #options: WebOptions;
  #saidNoToken = false;

  constructor(options: WebOptions) {
    this.#options = options;
  }

  /** An answer with its body, of status 200 or 206. The body is the caller's to read or to cancel. */
  async get(address: string, request: WebRequest): Promise<Response> {
    const { redirects } = this.#options.limits;
    let url = new URL(address);
    for (let hops = 0; ; hops++) {
      const response = await this.#request(url, request);
      request.onHead?.(response.headers);
      if (response.status === 200 || response.status === 206) return response;
      await response.body?.cancel();
      if (!isRedirect(response.status))
        throw this.#refusal(response, url, request);
      if (hops === redirects)
        throw invalid(url, `it redirects more than ${redirects} times`);
      url = redirectTarget(url, response.headers.get("location"));
    }
  }

  /** A small answer in JSON, tried a few times. `next` is the following page. */
  async json(
    address: string,
    request: WebRequest,
  ): Promise<{ value: unknown; next: string | undefined }> {
    const { limits } = this.#options;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#json(address, request);
      } catch (error) {
        if (attempt === limits.apiAttempts) throw error;
        await this.pause(error, attempt - 1, limits.apiRetryAfterMs, request);
      }
    }
  }

  /** Waits before another attempt, as long as the server asks for. Throws `error` if another one is of no use. */
  async pause(
    error: unknown,
    attempt: number,
    longestMs: number,
    { what, signal }: Pick<WebRequest, "what" | "signal">,
  ): Promise<void> {
    const { limits, events } = this.#options;
    if (signal.aborted || !isPassing(error)) throw error;
    const wanted = Number(error.details.retryAfterMs ?? 0);
    if (wanted > longestMs) throw error;
    const ms = Math.max(
      wanted,
      backoffMs(attempt, {
        initialMs: limits.retryInitialMs,
        maxMs: limits.retryMaxMs,
      }),
    );
    events.warn(
      "HUB",
      `${what}: ${error.message}; next try in ${formatMs(ms)}`,
    );
    await sleep(ms, signal);
  }

  async #json(
    address: string,
    request: WebRequest,
  ): Promise<{ value: unknown; next: string | undefined }> {
    const { headMs, apiBytes } = this.#options.limits;
    const limit = deadline(
      headMs,
      hostOf(address),
      request.signal,
      "HUB_UNREACHABLE",
    );
    try {
      const response = await this.get(address, {
        ...request,
        headers: { accept: "application/json" },
        signal: limit.signal,
      });
      const chunks: Uint8Array[] = [];
      let bytes = 0;
      for await (const chunk of response.body ?? []) {
        bytes += (chunk as Uint8Array).length;
        if (bytes > apiBytes)
          throw invalid(address, `its answer is longer than ${apiBytes} bytes`);
        chunks.push(chunk as Uint8Array);
      }
      const text = Buffer.concat(chunks).toString("utf8");
      return {
        value: parsed(address, text),
        next: nextPage(response, address),
      };
    } catch (error) {
      throw failure(error, address, limit.signal);
    } finally {
      limit.clear();
    }
  }

  async #request(url: URL, request: WebRequest): Promise<Response> {
    const { headMs } = this.#options.limits;
    const limit = deadline(headMs, url.host, request.signal, "HUB_UNREACHABLE");
    try {
      return await fetch(url, {
        headers: {
          "user-agent": `shoal/${VERSION}`,
          "accept-encoding": "identity",
          ...this.#authorization(url),
          ...request.headers,
        },
        redirect: "manual",
        credentials: "omit",
        // The deadline is for the head, the other signal also for the body.
        signal: AbortSignal.any([limit.signal, request.signal]),
      });
    } catch (error) {
      throw failure(error, url, limit.signal);
    } finally {
      limit.clear();
    }
  }

  #authorization(url: URL): { authorization?: string } {
    const { settings, events } = this.#options;
    const { endpoint, token } = settings;
    if (token === undefined || url.origin !== new URL(endpoint).origin)
      return {};
    if (isPrivate(url)) return { authorization: `Bearer ${token}` };
    if (!this.#saidNoToken)
      events.warn(
        "HUB",
        "the token is not sent, because HF_ENDPOINT is plain HTTP",
      );
    this.#saidNoToken = true;
    return {};
  }

  /** Source: hf_raise_for_status of huggingface_hub 1.x (utils/_http.py). */
  #refusal(response: Response, url: URL, { what }: WebRequest): ShoalError {
    const { status, headers } = response;
    const { settings } = this.#options;
    const code = headers.get("x-error-code");
    const details = { host: url.host, status };
    if (status === 429) {
      const waitMs = retryAfterMs(headers.get("retry-after"), DAY_MS);
      const when = waitMs === undefined ? "" : `: again in ${formatMs(waitMs)}`;
      return new ShoalError(
        "HUB_RATE_LIMITED",
        `${url.host} has had too many requests${when}`,
        { ...details, retryAfterMs: waitMs },
      );
    }
    if (status === 408 || status >= 500)
      return new ShoalError(
        "HUB_UNREACHABLE",
        `${url.host} answers ${status}`,
        {
          ...details,
          retryAfterMs: retryAfterMs(headers.get("retry-after"), DAY_MS),
        },
      );
    if (code === "GatedRepo")
      return new ShoalError(
        "HUB_DENIED",
        `${what} is gated: accept its terms on its page, ${settings.endpoint}/${what}, and set HF_TOKEN`,
        details,
      );
    if (status === 404 || code === "RepoNotFound")
      return new ShoalError(
        "HUB_NOT_FOUND",
        `${url.host}: ${missing(code, what, settings)}`,
        details,
      );
    if (status === 401 || status === 403)
      return new ShoalError(
        "HUB_DENIED",
        settings.token === undefined
          ? `${url.host} does not give ${what} to everybody: set HF_TOKEN`
          : `${url.host} does not give ${what} for this token (HF_TOKEN)`,
        details,
      );
    return invalid(url, `it answers ${status}`, details);
  }
}

function missing(
  code: string | null,
  what: string,
  { token }: HubSettings,
): string {
  if (code === "RevisionNotFound") return `${what} has no such revision`;
  if (code !== "RepoNotFound") return `there is no ${what}`;
  return `there is no ${what}, or it is private${token === undefined ? " and needs HF_TOKEN" : ""}`;
}

/** Whether the same request may succeed a little later. */
export function isPassing(error: unknown): error is ShoalError {
  return isShoalError(error, "HUB_UNREACHABLE", "HUB_RATE_LIMITED");
}

/** What a request, or the body of its answer, failed of. */
export function failure(
  error: unknown,
  address: string | URL,
  signal: AbortSignal,
): ShoalError {
  if (error instanceof ShoalError) return error;
  if (signal.aborted) return ShoalError.from(reasonOf(signal));
  const { why, code } = fetchFailure(error);
  const host = hostOf(address);
  return isCertificate(code)
    ? new ShoalError(
        "HUB_CERTIFICATE",
        `the certificate of ${host}: ${why}`,
        { host, reason: code },
        error,
      )
    : new ShoalError(
        "HUB_UNREACHABLE",
        `${host}: ${why}`,
        { host, reason: code },
        error,
      );
}

/** The names that Node gives to OpenSSL's verdicts: https://nodejs.org/docs/latest-v24.x/api/tls.html#x509-certificate-error-codes */
function isCertificate(code = ""): boolean {
  return (
    /CERT|^ERR_TLS_|^ERR_SSL_/.test(code) ||
    [
      "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      "HOSTNAME_MISMATCH",
      "INVALID_CA",
      "INVALID_PURPOSE",
      "PATH_LENGTH_EXCEEDED",
    ].includes(code)
  );
}

export function invalid(
  address: string | URL,
  why: string,
  details: { status?: number } = {},
): ShoalError {
  const host = hostOf(address);
  return new ShoalError("HUB_INVALID", `${host}: ${why}`, { host, ...details });
}

/** Never the whole address: its query may be a secret. */
export function hostOf(address: string | URL): string {
  return URL.parse(String(address))?.host ?? "the server";
}

function redirectTarget(from: URL, location: string | null): URL {
  const target = location === null ? null : URL.parse(location, from.href);
  const isSafe =
    target?.protocol === "https:" ||
    (target?.protocol === "http:" && from.protocol === "http:");
  if (target === null || !isSafe)
    throw invalid(from, "it redirects to an invalid address, or to plain HTTP");
  return target;
}

function parsed(address: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalid(address, "its answer is not JSON");
  }
}

/** RFC 8288, as the hub uses it: <https://…>; rel="next" */
function nextPage(response: Response, address: string): string | undefined {
  const link = response.headers.get("link") ?? "";
  const [, target] = /<([^>]*)>\s*;\s*rel="?next"?/.exec(link) ?? [];
  return target === undefined ? undefined : URL.parse(target, address)?.href;
}
