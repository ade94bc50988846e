import { hasLibc } from "./libc.ts";
import { hasOpenssl } from "./openssl.ts";

/** Whether this platform has what data connections need: Linux, and OpenSSL in node's binary. Elsewhere frames go through the nodes. */
export const hasDataSockets: boolean = hasLibc && hasOpenssl;
