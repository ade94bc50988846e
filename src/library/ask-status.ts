import { z } from "zod";
import { askMembers, type AskedStatus, askUrl } from "../diagnostics/index.ts";
import { check, durationMs } from "./check.ts";
import { memberFields } from "./member-options.ts";
import { once, type StartContext } from "./run.ts";

export interface AskStatusOptions {
  /** A role's page, such as "http://127.0.0.1:51821". */
  url?: string | undefined;
  /** Or any members, or a rendezvous; `cluster` is then needed. */
  bootstrap?: string | readonly string[] | undefined;
  /** Default with `url`: the only cluster it knows. */
  cluster?: string | undefined;
  /** For all of it. Default: 10 s. */
  timeoutMs?: number | undefined;
}

const schema = z
  .strictObject({
    url: z
      .url({ protocol: /^https?$/, error: "must be an HTTP or HTTPS URL" })
      .optional(),
    bootstrap: memberFields.bootstrap,
    cluster: memberFields.cluster.optional(),
    timeoutMs: durationMs.default(10_000),
  })
  .refine(
    ({ url, bootstrap }) => (url === undefined) !== (bootstrap === undefined),
    {
      path: ["url"],
      error: "must be given, or `bootstrap`, but not both",
    },
  )
  .refine(
    ({ bootstrap, cluster }) =>
      bootstrap === undefined || cluster !== undefined,
    { path: ["cluster"], error: "must be given with `bootstrap`" },
  );

/** Asks a role's page, or the first member that answers, how it and its cluster are. */
export async function askStatus(
  options: AskStatusOptions,
  context: StartContext = {},
): Promise<AskedStatus> {
  const given = check("askStatus", schema, options);
  const { url, bootstrap: targets = [], cluster, timeoutMs } = given;
  return await once("askStatus", context, ({ events, signal }) =>
    url === undefined
      ? askMembers({
          targets,
          cluster: cluster ?? "",
          events,
          timeoutMs,
          signal,
        })
      : askUrl({ url, cluster, timeoutMs, signal }),
  );
}
