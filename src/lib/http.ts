/** What every HTTP client here needs: redirects, Retry-After, and why a request failed. */

export function isRedirect(status: number): boolean {
  return [301, 302, 303, 307, 308].includes(status);
}

/** RFC 9110, section 10.2.3: seconds or a date. Undefined if missing or invalid. */
export function retryAfterMs(
  header: string | null,
  maxMs: number,
): number | undefined {
  if (header === null) return undefined;
  const ms = /^\d+$/.test(header)
    ? Number(header) * 1000
    : Date.parse(header) - Date.now();
  if (Number.isNaN(ms)) return undefined;
  return Math.max(0, Math.min(ms, maxMs));
}

/** `fetch` says only "fetch failed"; its cause says why. */
export function fetchFailure(error: unknown): {
  why: string;
  /** The system's or TLS' name of it: ENOTFOUND, CERT_HAS_EXPIRED. */
  code: string | undefined;
} {
  const cause =
    error instanceof Error && error.cause instanceof Error
      ? error.cause
      : error;
  const code =
    cause instanceof Error && "code" in cause && typeof cause.code === "string"
      ? cause.code
      : undefined;
  // Of several addresses that were tried, the message is empty.
  const message = cause instanceof Error ? cause.message : String(cause);
  return { why: message === "" ? (code ?? "it failed") : message, code };
}
