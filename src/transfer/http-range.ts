/**
 * One range of bytes through HTTP Range (RFC 9110, section 14), from a server that may do anything: ignore the range, send too little, too
 * much, something compressed or nothing at all, or redirect. ORIGIN_INVALID: it will fail the next time too. ORIGIN_FAILED, DEADLINE: it
 * may not.
 */
import {
  type Clock,
  deadline,
  fetchFailure,
  isRedirect,
  retryAfterMs,
  ShoalError,
} from "../lib/index.ts";
import { DEFAULTS } from "./defaults.ts";

export interface HttpRangeOptions {
  clock: Clock;
  headMs: number;
  stallMs: number;
}

interface Range {
  url: string;
  offset: number;
  sizeBytes: number;
}

export class HttpRanges {
  readonly #options: HttpRangeOptions;
  /** Targets of redirects, remembered for a while. */
  readonly #moved = new Map<string, { url: string; untilMs: number }>();

  constructor(options: HttpRangeOptions) {
    this.#options = options;
  }

  /** Fills `into`, which has the range's size. */
  async read(
    range: Range,
    into: Uint8Array,
    signal: AbortSignal,
    onData: (bytes: number) => void,
  ): Promise<void> {
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    try {
      const response = await this.#get(range, either);
      await this.#body(response, range, into, over, onData);
    } catch (error) {
      throw this.#explain(error, range, either);
    } finally {
      // The rest of a body is not read.
      over.abort();
    }
  }

  async #get(range: Range, signal: AbortSignal): Promise<Response> {
    const { clock } = this.#options;
    const moved = this.#moved.get(range.url);
    const isKnown = moved !== undefined && moved.untilMs > clock.now();
    let url = isKnown ? moved.url : range.url;
    let response = await this.#request(url, range, signal);
    if (isKnown && response.status >= 400 && response.status < 500) {
      // A signed link has expired.
      this.#moved.delete(range.url);
      await response.body?.cancel();
      url = range.url;
      response = await this.#request(url, range, signal);
    }
    for (let hops = 0; isRedirect(response.status); hops++) {
      await response.body?.cancel();
      if (hops === DEFAULTS.originRedirects)
        throw invalid(range, `it redirects more than ${hops} times`);
      url = redirectTarget(range, url, response.headers.get("location"));
      response = await this.#request(url, range, signal);
      this.#moved.set(range.url, {
        url,
        untilMs: clock.now() + DEFAULTS.originRedirectMs,
      });
    }
    return response;
  }

  async #request(
    url: string,
    { offset, sizeBytes }: Range,
    signal: AbortSignal,
  ): Promise<Response> {
    const { headMs } = this.#options;
    const limit = deadline(headMs, "the origin", signal);
    try {
      return await fetch(url, {
        // With a range, fetch requests no encoding by itself.
        headers: {
          range: `bytes=${offset}-${offset + sizeBytes - 1}`,
          "user-agent": "shoal",
        },
        redirect: "manual",
        credentials: "omit",
        // The deadline is for the head, the other signal also for the body.
        signal: AbortSignal.any([limit.signal, signal]),
      });
    } finally {
      limit.clear();
    }
  }

  async #body(
    response: Response,
    range: Range,
    into: Uint8Array,
    over: AbortController,
    onData: (bytes: number) => void,
  ): Promise<void> {
    const skip = checkHead(response, range);
    const { clock, stallMs } = this.#options;
    let progress = 0;
    let at = -skip;
    // The same rule as for peers: so many bytes in that time.
    const watch = (): (() => void) =>
      clock.after(stallMs, () => {
        if (progress >= Math.min(DEFAULTS.minProgressBytes, into.length)) {
          progress = 0;
          cancel = watch();
        } else {
          over.abort(
            new ShoalError(
              "DEADLINE",
              `${hostOf(range)} sent nothing for ${stallMs} ms`,
              { timeoutMs: stallMs },
            ),
          );
        }
      });
    let cancel = watch();
    try {
      for await (const chunk of response.body ?? []) {
        const bytes = chunk as Uint8Array;
        progress += bytes.length;
        const from = Math.max(0, -at);
        const wanted = bytes.subarray(from, from + into.length - at - from);
        if (
          at + bytes.length > into.length &&
          skip === 0 &&
          response.status === 206
        )
          throw invalid(range, "it sends more than requested");
        if (wanted.length > 0 && at + from < into.length) {
          into.set(wanted, at + from);
          onData(wanted.length);
        }
        at += bytes.length;
        if (at >= into.length && response.status === 200) return;
      }
    } finally {
      cancel();
    }
    if (at !== into.length)
      throw failed(
        range,
        `it ended after ${Math.max(at, 0)} of ${into.length} bytes`,
      );
  }

  #explain(error: unknown, range: Range, signal: AbortSignal): ShoalError {
    if (error instanceof ShoalError) return error;
    if (signal.aborted && signal.reason instanceof ShoalError)
      return signal.reason;
    return failed(range, fetchFailure(error).why, {}, error);
  }
}

/** Throws unless the response has the range. Returns how many bytes of its body come before the range. */
function checkHead(response: Response, range: Range): number {
  const { status, headers } = response;
  const { offset, sizeBytes } = range;
  const encoding = headers.get("content-encoding") ?? "identity";
  const length = headers.get("content-length");
  const lengthBytes = length === null ? undefined : Number(length);
  if (status === 429 || status >= 500) {
    throw failed(range, `it answers ${status}`, {
      status,
      retryAfterMs: retryAfterMs(
        headers.get("retry-after"),
        DEFAULTS.originRetryMaxMs,
      ),
    });
  }
  if (status !== 206 && status !== 200)
    throw invalid(range, `it answers ${status}`, { status });
  if (encoding !== "identity")
    throw invalid(range, `it sends ${encoding.slice(0, 20)}`);
  if (status === 200) {
    if (
      lengthBytes === undefined ||
      !(lengthBytes <= DEFAULTS.originWholeBytes)
    )
      throw invalid(range, "it ignores ranges");
    if (lengthBytes < offset + sizeBytes)
      throw invalid(range, `its file has only ${lengthBytes} bytes`);
    return offset;
  }
  const [, first, last] =
    /^bytes (\d+)-(\d+)\//.exec(headers.get("content-range") ?? "") ?? [];
  if (
    Number(first) !== offset ||
    Number(last) !== offset + sizeBytes - 1 ||
    (lengthBytes ?? sizeBytes) !== sizeBytes
  ) {
    throw invalid(range, "it sends another range than requested");
  }
  return 0;
}

function redirectTarget(
  range: Range,
  from: string,
  location: string | null,
): string {
  const target = URL.parse(location ?? "", from);
  const isSafe =
    target?.protocol === "https:" ||
    (target?.protocol === "http:" && new URL(from).protocol === "http:");
  if (target === null || location === null || !isSafe)
    throw invalid(
      range,
      "it redirects to an invalid address, or to plain HTTP",
    );
  return target.href;
}

/** Never the whole address: its query may be a secret. */
function hostOf({ url }: Range): string {
  return URL.parse(url)?.host ?? "the origin";
}

function invalid(
  range: Range,
  why: string,
  details: { status?: number } = {},
): ShoalError {
  const host = hostOf(range);
  return new ShoalError("ORIGIN_INVALID", `${host}: ${why}`, {
    host,
    ...details,
  });
}

function failed(
  range: Range,
  why: string,
  details: { status?: number; retryAfterMs?: number | undefined } = {},
  cause?: unknown,
): ShoalError {
  const host = hostOf(range);
  return new ShoalError(
    "ORIGIN_FAILED",
    `${host}: ${why}`,
    { host, ...details },
    cause,
  );
}
