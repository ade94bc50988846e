/**
 * What each error code means and what to do about it: the text of docs/ERRORS.md, which `npm run docs` writes. A code without an entry
 * here does not compile.
 */
import { HUB_HELP } from "./error-help-hub.ts";
import { NETWORK_HELP } from "./error-help-network.ts";
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
    "Check the permissions of the folder.",
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
    "The GGUF is not a language model (for example an adapter, a vision projector, or an embedding model that pools otherwise than by the last token).",
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
  // ring
  RING_UNAUTHENTICATED: [
    "The other end of a data connection did not prove its key, or a frame was changed on its way. The connection is closed.",
    "Nothing: the frames go through the nodes instead. If it happens often, something between the two machines changes or repeats their traffic.",
  ],
  RING_CLOSED: [
    "The data connection between two engines ended: the other engine, its machine or the network is gone.",
    "Nothing: the frames go through the nodes instead, or the session ends with the reason.",
  ],
  RING_CONGESTED: [
    "The other engine takes frames more slowly than they are computed, and too many wait.",
    "Check the load of the machine that the message names, and the network to it.",
  ],
  RING_UNREACHABLE: [
    "A data connection to another engine could not be opened: its data port does not answer.",
    "Nothing is lost: the frames go through the nodes. To have them go directly, open the node's data port (TCP) in its firewall.",
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
  ENGINE_HUNG: [
    "The engine process was stopped by a signal (SIGSTOP), or waits for something that does not come. The node ends it and starts a new one.",
    "If nobody stopped it by hand, look for what did: a debugger, a job control, a limit on the process. If it happens again, report it with the log of the node.",
  ],
  ENGINE_GIVEN_UP: [
    "The engine failed at every load, or soon after, too often to go on: the node gives the shard up.",
    "Read the message: it has the last failure. Most often the machine is short of memory: free some, lower `--context` or `--sessions`, or give the node a smaller shard.",
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
  ...NETWORK_HELP,
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
    "The clocks of two machines differ by more than 30 s: a warning in the log. Nothing is refused for it up to an hour; above that, TCP connections are.",
    "Set the clock of the one that is wrong (on Linux: `timedatectl set-ntp true`). Nothing has to be restarted.",
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
  CLUSTER_MODE_MISMATCH: [
    "The node computes with another `--kv` or `--batch` than the cluster's record says.",
    "Start the node without them: it follows the record. If it brings its own shard, start it with those in the message.",
  ],
  CLUSTER_FULL: [
    "A bound on clusters, records or contents at a rendezvous is reached (docs/LIMITS.md).",
    "Use another rendezvous, or your own.",
  ],
  SWARM_NOT_READY: [
    "The cluster cannot answer: shards are missing, or no model was published. A request waited for it (`--ready-timeout`) in vain.",
    "Run `shoal status`: it names what is missing. `shoal doctor` says what to do about it.",
  ],
  MEMORY_INSUFFICIENT: [
    "The shard does not fit into this machine's free memory or its `--memory`.",
    "The message names the largest context and the most layers that fit. Or lower `--sessions`, choose `shoal seed --kv q8_0`, or cut the model into more shards.",
  ],
  MOVE_REFUSED: [
    "A node was asked to change its layers, and does not: its operator said so, or another change is on its way.",
    "`shoal plan` shows what each machine would do and why not. `--move auto` lets a node's layers follow the cut.",
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
  GRAMMAR_INVALID: [
    "A grammar (GBNF), or what should begin it, has an error, or would take an engine too much work: the message names the line or the reason.",
    "Correct or simplify the grammar or the schema that it was made of.",
  ],
  GRAMMAR_STUCK: [
    "A reply came to a place where no token of the model is what the grammar allows.",
    "Allow more there: some vocabularies cannot write every character.",
  ],
  // gateway
  SCHEMA_UNSUPPORTED: [
    "A JSON schema (of `response_format`, a tool or `format`) uses a keyword that no grammar here can hold a reply to, or nothing fulfils it.",
    "Leave out the keyword at the path that the message names, or say it in another way: [Structured output](STRUCTURED-OUTPUT.md) lists what is supported.",
  ],
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
  API_UNSUPPORTED: [
    "A client asks for something that this API has elsewhere, and Shoal does not.",
    "Read the message: it says what to do instead.",
  ],
  UNAUTHENTICATED: [
    "The API key is missing or wrong.",
    "Send `Authorization: Bearer KEY` or `X-Api-Key: KEY`, with the gateway's `--api-key` or a key of its `--api-keys`.",
  ],
  FORBIDDEN: [
    "The process answers only requests to an address of its own machine, and the `Host` header names another.",
    "Use `http://127.0.0.1:PORT` or `http://localhost:PORT`.",
  ],
  MODEL_UNKNOWN: [
    "The model that was requested is not served, or the API key may not use it.",
    "Use an id from `GET /v1/models`.",
  ],
  NOT_FOUND: [
    "There is nothing at that path.",
    "Check the path: the API is under `/v1`.",
  ],
  SHUTTING_DOWN: [
    "The gateway is stopping: it ends the replies under way and takes no new request.",
    "Try again in a few seconds, or use another gateway.",
  ],
  // roles
  PROCESS_DIED: [
    "A process of the local swarm could not start or ended unexpectedly.",
    "Read the message: it names the process and has its last line.",
  ],
};
