/** What the error codes of models by reference mean and what to do about them: a part of error-help.ts. */
import type { ErrorCode } from "./errors.ts";

/** Cause and remedy, as in error-help.ts. */
type Help = readonly [cause: string, remedy: string];
type HubCode = Extract<ErrorCode, `HUB_${string}`>;

export const HUB_HELP: Readonly<Record<HubCode, Help>> = {
  HUB_NOT_FOUND: [
    "The model hub, or the server of an `https:` address, has no such repository, revision or file. The hub also says so of a private repository.",
    "Check the spelling: `hf:owner/repo:Q4_K_M`, `hf:owner/repo/file.gguf`. For a private repository set `HF_TOKEN`.",
  ],
  HUB_CHOICE: [
    "The repository has no model, or more than one, that matches the quantization or file that was named.",
    "Choose one that the message lists: `hf:owner/repo:TAG`, or `hf:owner/repo/FILE`.",
  ],
  HUB_DENIED: [
    "The model hub does not give you this repository: it is gated or private, or the token is wrong.",
    "Accept the model's terms on its page, then set `HF_TOKEN` to a token that may read it.",
  ],
  HUB_RATE_LIMITED: [
    "The model hub has had too many requests from this address or account.",
    "Wait as long as the message says and run the command again: what was fetched is kept. With `HF_TOKEN` the limits are higher.",
  ],
  HUB_UNREACHABLE: [
    "The model hub, or the server of an `https:` address, does not answer, or breaks off again and again.",
    "Check the network, then run the command again: what was fetched is kept. Behind a proxy set `HTTPS_PROXY` and `NODE_USE_ENV_PROXY=1`; for another hub set `HF_ENDPOINT`.",
  ],
  HUB_CERTIFICATE: [
    "The server's certificate is not valid, or a proxy on the way replaces it.",
    "Check this machine's clock. If your network has a certificate authority of its own, set `NODE_EXTRA_CA_CERTS` to its file.",
  ],
  HUB_OFFLINE: [
    "`HF_HUB_OFFLINE` is set and the model is not in the hub's cache on this machine.",
    "Unset `HF_HUB_OFFLINE` once, or copy the model into the cache.",
  ],
  HUB_INVALID: [
    "The server answered something that is neither the model hub's API nor the file.",
    "Check `HF_ENDPOINT`, or the address. A login page of the network is a common cause.",
  ],
  HUB_CHANGED: [
    "The file changed on the server while it was fetched. Nothing of the two versions was mixed.",
    "Run the command again: it fetches the new file.",
  ],
  HUB_CHECKSUM: [
    "The bytes that arrived do not have the checksum that the hub, or the address, gives. They were deleted.",
    "Run the command again. If it happens again, a proxy or the server changes the file.",
  ],
};
