/**
 * What each error code means and what to do about it: the text of docs/ERRORS.md, which `npm run docs` writes. A code without an entry
 * here does not compile.
 */
import { HUB_HELP } from "./error-help-hub.ts";
import type { ErrorCode } from "./errors.ts";

type Help = readonly [cause: string, remedy: string];

export const ERROR_HELP: Readonly<Record<ErrorCode, Help>> = {
  // lib
  INTERNAL: [
    "Shoal did something it should never do, or another process sent an error code that this version does not know.",
    "Report it with the stack trace from the log. If `details.remoteCode` is set, update the older of the two processes.",
  ],
  ABORTED: [
    "The operation was cancelled: the client closed the connection, the process is stopping, or another source was faster.",
    "Nothing, if you stopped it yourself. Otherwise look for the first error before it in the log.",
  ],
  DEADLINE: [
    "Something took longer than it may: a peer, the engine or a server did not answer in time.",
    "Try again. If it happens often, run `shoal doctor`; the message names the peer or step that was slow.",
  ],
  USAGE: [
    "The command line, the configuration file or an option is wrong.",
    "Read the message, then `shoal COMMAND --help`.",
  ],
  NODE_VERSION: [
    "Shoal was started with a Node.js that is too old for it, and npm installed no newer one with it.",
    "Install Node 24. If npm left out the optional packages (`--omit=optional`), install Shoal again with them: Node 24 is one of them.",
  ],
  NOT_BUILT: [
    "A checkout has no built program, and the sources cannot run because the development dependencies are missing.",
    "Run `npm ci` without `--omit=dev`, or install the package.",
  ],
  FILE_NOT_FOUND: [
    "A file or folder that was named does not exist.",
    "Check the path.",
  ],
  FILE_UNREADABLE: [
    "A file exists but cannot be read, or is not a regular file.",
    "Check that the user running Shoal may read it (`ls -l`), and that the disk is healthy.",
  ],
  FILE_UNWRITABLE: [
    "A file or folder cannot be written, or a file that would be written already exists.",
    "Check the permissions of the folder and whether another Shoal process uses the same `--home`.",
  ],
  DISK_FULL: [
    "The disk has too little free space for what is about to be written.",
    "Free the space the message names, or choose a folder on another disk (`--home`, `--out`).",
  ],
  OUTPUT_CLOSED: [
    "Whatever read standard output is gone. Nothing is printed: the command ends as SIGPIPE would end it.",
    "Nothing, if the reader (such as `head`) had enough.",
  ],
  // gguf
  GGUF_NOT_GGUF: [
    "The file is not a GGUF file.",
    "Choose a `.gguf` file. An HTML page or a Git LFS pointer saved under that name is a common cause.",
  ],
  GGUF_VERSION: [
    "The file is a GGUF of a version or byte order that Shoal does not read (it reads versions 2 and 3, little-endian).",
    "Convert the model again with a current llama.cpp.",
  ],
  GGUF_TRUNCATED: [
    "The file ends before the data that its header describes.",
    "Download it again: the download was cut short.",
  ],
  GGUF_CORRUPT: [
    "The file contradicts itself: a damaged header, overlapping tensors, duplicate names or wrong sizes.",
    "Download or convert it again.",
  ],
  GGUF_LIMIT: [
    "The file exceeds a bound that protects against hostile files (docs/LIMITS.md).",
    "No real model should reach one. If yours does, report it with the message.",
  ],
  GGUF_SPLIT_MISSING: [
    "The model consists of several files and one of them is missing or renamed.",
    "Put all files of the model into one folder under their original names (`…-00001-of-00003.gguf`).",
  ],
  // model
  MODEL_NOT_LANGUAGE: [
    "The GGUF is not a language model (for example an adapter, a vision projector or an embedding model).",
    "Choose a text-generation model.",
  ],
  MODEL_ARCHITECTURE: [
    "Shoal cannot cut this model architecture into shards.",
    "Choose a model of an architecture that the message lists.",
  ],
  MODEL_TENSOR_UNKNOWN: [
    "The model has a tensor that its architecture does not have, so cutting it could change the result.",
    "Use an unmodified conversion of the model. If it is one, report the tensor's name.",
  ],
  MODEL_TENSOR_MISSING: [
    "The model lacks a tensor that its architecture needs.",
    "Download or convert the model again.",
  ],
  MODEL_SHARDS: [
    "The number of shards, the shard's number or the layer range does not fit the model.",
    "Choose one in the range that the message gives.",
  ],
  MANIFEST_INVALID: [
    "A model's manifest is malformed, too large, or not the one that was requested.",
    "A local file: run `shoal split` again. From a peer: nothing, the next holder is asked.",
  ],
  SHARD_FOREIGN: [
    "A shard file belongs to another model, or to another cut of the same model.",
    "Use the shard files that were written together with this manifest.",
  ],
  SHARD_NOT_FOUND: [
    "The model folder has neither the shard nor a model to cut it from.",
    "Check `--model-dir`, or omit it: the node then downloads its shard from the cluster.",
  ],
  // engine
  ENGINE_UNAVAILABLE: [
    "llama.cpp's libraries are missing, are of another version, or do not exist for this platform.",
    "Install with optional packages (do not use `npm ci --omit=optional`), on Linux x64 or arm64.",
  ],
  GPU_UNAVAILABLE: [
    "The graphics card that `--gpu` names is not there, its driver does not work, or llama.cpp's package for it is not installed.",
    "Run `shoal devices`: it lists what there is, and the command that installs what is missing. With `--gpu off` the CPU computes.",
  ],
  ENGINE_LOAD_FAILED: [
    "llama.cpp could not load the shard or the vocabulary, or the test run after loading gave invalid numbers.",
    "Free memory, or lower `--context` or `--sessions`. If memory is not the problem, the file is damaged: fetch it again.",
  ],
  ENGINE_DIED: [
    "The engine process ended unexpectedly. The node starts a new one.",
    "Read the message: it has the engine's last lines. If the kernel killed it, the machine is short of memory.",
  ],
  ENGINE_FAILED: [
    "The engine rejected a request or could not decode.",
    "Report it with the log of the node.",
  ],
  ENGINE_NOT_EXACT: [
    "`shoal verify` found that the shards do not give exactly the whole model's numbers.",
    "Do not use these shards. Report the model's name and the message.",
  ],
  TEMPLATE_MISSING: [
    "The model has no chat template, so it cannot answer a chat request.",
    "Use `POST /v1/completions`, or a chat (instruct) model.",
  ],
  TEMPLATE_FAILED: [
    "The model's chat template failed on these messages, or produced no text.",
    "Check the roles and their order (many templates want `user` and `assistant` to alternate).",
  ],
  // network
  IDENTITY_INVALID: [
    "The file with this process's identity key is damaged.",
    "Move the file away. The next start creates a new identity, with a new peer id.",
  ],
  ADDRESS_INVALID: [
    "An address is malformed, is not one of this machine's, or may not be used by this user.",
    "Write it as `HOST`, `HOST:PORT` or a multiaddr. Ports below 1024 need privileges.",
  ],
  PORT_IN_USE: [
    "Another program listens on that port.",
    "Stop it, or choose another port (`--listen`, `--api-port`, `--diagnostics-port`; 0 means any free port).",
  ],
  BOOTSTRAP_UNREACHABLE: [
    "No bootstrap address answered.",
    "Run `shoal doctor --bootstrap HOST`: it tells a wrong name, a closed port and a firewall apart.",
  ],
  DIAL_FAILED: [
    "A connection to a peer or a gateway could not be opened.",
    "Check that the other side runs and that its port is open for UDP and TCP.",
  ],
  PROTOCOL_UNSUPPORTED: [
    "The peer does not speak the protocol that is needed: it has another role or another version.",
    "Check the address, and update the older of the two.",
  ],
  DHT_RECORD_INVALID: [
    "A DHT record is malformed, too large or not signed by its owner.",
    "Nothing: the record is ignored.",
  ],
  DHT_RECORD_REFUSED: [
    "The DHT holds a newer record under that key, or has no room for more.",
    "Nothing: the record is sent again later.",
  ],
  DHT_SELF_TEST_FAILED: [
    "A rendezvous could not store and read a test record in its own DHT.",
    "Restart it. If that does not help, report it with the log.",
  ],
  STREAM_CLOSED: [
    "The other side closed the connection before it had finished.",
    "Try again, and look into the other side's log.",
  ],
  STREAM_OVERFLOW: [
    "A sender queued more than a stream may hold. The stream was closed.",
    "Report it: Shoal's own senders wait for room.",
  ],
  FRAME_TOO_LARGE: [
    "A peer sent a frame above the bound of its protocol. The stream was closed.",
    "Check that both sides run the same version.",
  ],
  FRAME_MALFORMED: [
    "A peer sent bytes that the protocol does not allow. The stream was closed.",
    "Check that both sides run the same version.",
  ],
  COMMAND_UNKNOWN: [
    "The peer does not have that command: it has another role or another version.",
    "Ask a process of the right role, or update the older of the two.",
  ],
  COMMAND_MALFORMED: [
    "A command or its answer does not have the required form.",
    "Check that both sides run the same version, and that the URL is one of Shoal's.",
  ],
  COMMAND_UNAUTHORIZED: [
    "The sender may not do that: it is not a member, not the record's owner, or not at that place in the route.",
    "For a cluster's record: publish with the key (`--home`) that published it first, or choose another cluster name.",
  ],
  RATE_LIMITED: [
    "A peer sends commands or opens streams faster than it may.",
    "Wait a few seconds and send fewer.",
  ],
  // weights
  PIECE_INVALID: [
    "A piece does not match the content's hashes. It is discarded and its source is no longer used.",
    "Nothing: another source is asked.",
  ],
  PIECE_MISSING: [
    "The source does not have that piece, or not yet.",
    "Nothing: another source is asked.",
  ],
  CONTENT_UNKNOWN: [
    "Nobody lists a content of that name or root, or several contents have the same name.",
    "List what there is with `shoal get`, and name the content by its root.",
  ],
  CONTENT_CHANGED: [
    "A file changed while it was read, hashed or written.",
    "Do not modify model files while Shoal uses them. The file is hashed again once it is at rest.",
  ],
  CONTENT_BUSY: [
    "The same content, or the same file, is already being downloaded, or too many downloads run at once.",
    "Wait for the running download.",
  ],
  CONTENT_INVALID: [
    "A content's size, root or hashes contradict each other.",
    "From a peer: nothing, another source is asked. A local file: an empty file cannot be shared.",
  ],
  CONTENT_UNAVAILABLE: [
    "No source delivered the missing pieces for a long time.",
    "Start a seeder or a node that has them. What was downloaded is kept and continued.",
  ],
  SOURCE_BANNED: [
    "The source sent wrong bytes or malformed frames, and is not used or served until restart.",
    "Check the other machine's disk, memory and version, then restart this process.",
  ],
  TRANSFER_DIED: [
    "The thread that moves weights failed. A new one continues the downloads.",
    "Nothing, if it happens once. Otherwise report it with the log.",
  ],
  ORIGIN_FAILED: [
    "The HTTP server of an `--origin` URL did not answer, or answered with an error.",
    "Check the URL. The other sources are used meanwhile.",
  ],
  ORIGIN_INVALID: [
    "The HTTP server of an `--origin` URL serves something other than the model's file.",
    "Correct the URL: it must give exactly the seeder's file, and support range requests.",
  ],
  ...HUB_HELP,
  // cluster
  ANNOUNCEMENT_INVALID: [
    "A signed record is malformed, too large, forged or expired. It is ignored.",
    "Check that all members run the same version.",
  ],
  PROTOCOL_VERSION: [
    "The other side speaks another version of the protocol.",
    "Update the older of the two; the message gives both versions.",
  ],
  CLOCK_SKEW: [
    "The clocks of two machines differ by more than 30 s.",
    "Set the clock of the one that is wrong (on Linux: `timedatectl set-ntp true`).",
  ],
  CLUSTER_UNKNOWN: [
    "The process that was asked knows no cluster of that name.",
    "Check the spelling. A new cluster exists once a seeder or a node has joined it.",
  ],
  CLUSTER_MODEL_MISMATCH: [
    "The cluster serves another model: one cluster serves one model.",
    "Use the cluster's model, or another cluster name.",
  ],
  CLUSTER_PLAN_MISMATCH: [
    "The cluster's model is cut into another number of shards.",
    "Start the node with the cluster's number of shards, or without `--shard`.",
  ],
  CLUSTER_FULL: [
    "A bound on clusters, records or contents at a rendezvous is reached (docs/LIMITS.md).",
    "Use another rendezvous, or your own.",
  ],
  SWARM_NOT_READY: [
    "The cluster cannot answer yet: shards are missing, or no model was published.",
    "Run `shoal status`: it names what is missing. `shoal doctor` says what to do about it.",
  ],
  MEMORY_INSUFFICIENT: [
    "The shard does not fit into this machine's free memory or its `--memory`.",
    "Take a smaller shard (more shards, or `--layers`), or lower `--sessions` or `--context`.",
  ],
  // inference
  BUSY: [
    "All sessions are in use, or a queue is full.",
    "Try again after the seconds in `Retry-After`. Raise `--sessions`, or add nodes.",
  ],
  DRAINING: [
    "The node is stopping: it finishes running sessions and accepts no new ones.",
    "Try again: another node is used if one holds the same shard.",
  ],
  STAGE_LOST: [
    "A node that computes part of the reply was lost.",
    "Send the request again. If no other node holds that shard, start one.",
  ],
  STAGE_FAILED: [
    "A node could not compute its part of the reply.",
    "Send the request again, and look into the log of the node that the message names.",
  ],
  CONTEXT_EXCEEDED: [
    "Prompt and reply together are longer than the model's context in this cluster.",
    "Shorten the prompt or `max_tokens`, or start the nodes with a larger `--context`.",
  ],
  // gateway
  REQUEST_INVALID: [
    "The HTTP request is malformed, or a field has a wrong type or value.",
    "Correct the field that the message names.",
  ],
  REQUEST_TOO_LARGE: [
    "The request's body is larger than the gateway accepts.",
    "Send a shorter prompt.",
  ],
  REQUEST_MEDIA_TYPE: [
    "The request's content type is not JSON.",
    "Send `Content-Type: application/json`.",
  ],
  REQUEST_TIMEOUT: [
    "The request's headers or body did not arrive in time.",
    "Send the whole request at once.",
  ],
  REQUEST_HEADERS: [
    "The request's headers are too large.",
    "Send fewer or shorter headers.",
  ],
  REQUEST_EXPECTATION: [
    "The request has an `Expect` header other than `100-continue`.",
    "Send the request without it.",
  ],
  PARAMETER_UNSUPPORTED: [
    "The request has a parameter that Shoal does not know or cannot honour.",
    "Remove it.",
  ],
  UNAUTHENTICATED: [
    "The API key is missing or wrong.",
    "Send `Authorization: Bearer KEY` with the gateway's `--api-key`.",
  ],
  FORBIDDEN: [
    "The process answers only requests to an address of its own machine, and the `Host` header names another.",
    "Use `http://127.0.0.1:PORT` or `http://localhost:PORT`.",
  ],
  MODEL_UNKNOWN: [
    "The model that was requested is not the one that is served.",
    "Use an id from `GET /v1/models`.",
  ],
  NOT_FOUND: [
    "There is nothing at that path.",
    "Check the path: the API is under `/v1`.",
  ],
  SHUTTING_DOWN: [
    "The gateway is stopping.",
    "Try again in a few seconds, or use another gateway.",
  ],
  // roles
  PROCESS_DIED: [
    "A process of the local swarm could not start or ended unexpectedly.",
    "Read the message: it names the process and has its last line.",
  ],
};
