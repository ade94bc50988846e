/** Who may read diagnostics, and what the page may reach. */
import { isIP } from "node:net";
import { isLoopback } from "../lib/index.ts";

/** The name in a Host header, without port and brackets; undefined if it is invalid. */
export function hostName(header: string | undefined): string | undefined {
  const match =
    /^(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::\d{1,5})?$/.exec(
      header ?? "",
    );
  return match?.[1];
}

/**
 * A page on the Internet can use a name that resolves to 127.0.0.1 and read what listens there. So a listener on loopback answers only to
 * loopback's names.
 */
export function isAllowedHost(
  listensOn: string,
  header: string | undefined,
): boolean {
  if (!isLoopback(listensOn) || header === undefined) return true;
  const name = hostName(header)?.replace(/^\[(.*)\]$/, "$1");
  return (
    name !== undefined && (isIP(name) !== 0 || /(^|\.)localhost$/i.test(name))
  );
}

/** Where the page finds a gateway: one on this machine is addressed by the name under which the page was requested. */
export function apiOrigin(
  api: string | null,
  header: string | undefined,
): string | undefined {
  if (api === null || !URL.canParse(api)) return undefined;
  const url = new URL(api);
  const bare = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const here = hostName(header);
  const isHere = isLoopback(bare) || bare === "0.0.0.0" || bare === "::";
  if (isHere && here !== undefined) url.hostname = here;
  return url.origin;
}
