/**
 * A scripted backend for tests of the HTTP side: tokens are bytes (token b is byte b, up to 255) or whole pieces of text (256 and up, given
 * by the test). It is not a model: it says what the test tells it, and records the requests.
 */
import type { NamedTemplates } from "../../src/chat/index.ts";
import {
  abortable,
  type Clock,
  type ShoalError,
  systemClock,
} from "../../src/lib/index.ts";
import type { InfillTokens } from "../../src/engine/index.ts";
import { Admission } from "../../src/inference/admission.ts";
import type { Arrival, GenerateRequest } from "../../src/inference/backend.ts";
import { Changes } from "../../src/inference/changes.ts";
import {
  type Backend,
  type GeneratedToken,
  type ModelNames,
  type ModelFacts,
  type ServedModel,
  SessionLog,
  type SessionStatus,
} from "../../src/inference/index.ts";
import { WaitingRoom } from "../../src/inference/waiting-room.ts";

const BOS = 0;
const EOS = 1;
/** Pieces a test can speak in, after the 256 bytes. */
const MAX_PIECES = 64;

export const CHATML = `{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}`;

/** Tells of tools in Hermes' words, and thinks. */
export const HERMES =
  "{% for tool in tools %}{{ tool.function|tojson }}{% endfor %}{% for m in messages %}<|{{ m.role }}|>{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content }}{% for c in m.tool_calls %}<tool_call>{{ c.function|tojson }}</tool_call>{% endfor %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

/** Of a model that a fake can have. */
export const FACTS: ModelFacts = Object.freeze({
  architecture: "llama",
  quantization: "Q4_K_M",
  parameterCount: 7_241_732_096,
  sizeBytes: 4_368_439_584,
  embeddingLength: 4096,
  embeds: false,
  contextLength: 32_768,
  digest: "5ea1".repeat(16),
  metadata: {
    "general.architecture": "llama",
    "llama.context_length": 32_768,
    "llama.block_count": 32,
  },
});

export type Step =
  | string // a piece of text, one token
  | Uint8Array // bytes of a piece, one token
  | { until: Promise<void>; waitingFor?: string } // tells what it waits for, until it goes on
  | { hang: true } // until the signal aborts
  | { deaf: true } // for ever, whatever the signal says
  | { throw: ShoalError | Error };

export class BackendDouble implements Backend {
  /** What the next generations say, then the end token. */
  script: Step[] = ["Hello", " there", "."];
  /** Repeats the script's last step for ever instead of ending. */
  endless = false;
  contextLength = 100;
  cluster = "demo";
  id = "shoal-demo";
  unready: ShoalError | undefined;
  known = true;
  /** How long a request waits while `unready` or not `known`; `changes` tells those that wait of a change. */
  readyTimeoutMs = 0;
  clock: Clock = systemClock;
  readonly changes = new Changes();
  /** Whose bound tests reach with few requests. */
  admission = new Admission({ maxWaiting: 16 });
  readonly sessions = new SessionLog();
  /** Where the time of a generation went, by the tokens that it has. */
  session: ((tokens: number) => SessionStatus) | undefined;
  onToken: (request: GenerateRequest) => void = () => {};
  /** Sessions at once; the others wait for their turn. Unset: any number, and tokens take no time. */
  places: number | undefined;
  chatTemplate: string | undefined = CHATML;
  namedTemplates: NamedTemplates = {};
  /** Texts of control tokens. */
  specialPieces: ReadonlyMap<number, Uint8Array> = new Map();
  infill: InfillTokens = {};
  /** The embedding of a prompt; unset: the model gives none. */
  embedding: ((tokens: Int32Array) => Float32Array) | undefined;
  /** Values of it. */
  embeddingLength = 4;
  /** The vocabulary adds an end token to prompts. */
  endsPrompts = false;

  /** Everything asked for so far. */
  readonly requests: GenerateRequest[] = [];
  /** Generations that ended, and whether their signal had aborted by then. */
  readonly ended: { aborted: boolean }[] = [];
  #endWaiters: (() => void)[] = [];

  maxSessions(): number {
    return this.unready === undefined ? 4 : 0;
  }

  each(): readonly Backend[] {
    return [this];
  }

  names(): ModelNames {
    const { cluster, id } = this;
    return this.known
      ? { cluster, model: id, manifest: `bafymanifest` }
      : { cluster, model: undefined, manifest: undefined };
  }

  notReady(): ShoalError | undefined {
    return this.unready;
  }

  async whenReady<T extends object>(
    find: () => T | ShoalError,
    arrival: Arrival,
  ): Promise<T> {
    const { clock, changes, admission, sessions } = this;
    const timeoutMs = this.readyTimeoutMs;
    const how = { clock, timeoutMs, changes, admission, sessions };
    return await new WaitingRoom(how).until(find, arrival);
  }

  model(): ServedModel | undefined {
    if (!this.known) return undefined;
    return {
      id: this.id,
      manifestId: "bafymanifest",
      fingerprint: "shoal-0_llama.cpp-0_f16_exact_bafymanifest",
      createdMs: 1_700_000_000_500,
      contextLength: this.contextLength,
      chatTemplate: this.chatTemplate,
      namedTemplates: this.namedTemplates,
      facts:
        this.embedding === undefined
          ? FACTS
          : { ...FACTS, embeds: true, embeddingLength: this.embeddingLength },
      tokenizer: {
        bosText: "<s>",
        eosText: "</s>",
        addsBos: true,
        vocabSize: 256 + MAX_PIECES,
        encode: async (text, { addSpecial }) =>
          Int32Array.from([
            ...(addSpecial ? [BOS] : []),
            ...bytesOf(text),
            ...(addSpecial && this.endsPrompts ? [EOS] : []),
          ]),
        piece: (token, special = false) =>
          (special ? this.specialPieces.get(token) : undefined) ??
          this.#piece(token),
        isEndOfGeneration: (token) => token === EOS,
        infill: this.infill,
      },
      generate: (request) => this.#inTurn(request),
    };
  }

  /** The text of the last prompt, without its BOS. */
  get lastPrompt(): string {
    const tokens = this.requests.at(-1)?.tokens.subarray(1) ?? [];
    return Buffer.from([...tokens]).toString();
  }

  /** Resolves once `count` generations have ended. */
  async generationsEnded(count: number): Promise<void> {
    while (this.ended.length < count) {
      await new Promise<void>((resolve) => this.#endWaiters.push(resolve));
    }
  }

  #piece(token: number): Uint8Array {
    if (token < 256) return Uint8Array.of(token);
    const step = this.script[token - 256];
    if (step instanceof Uint8Array) return step;
    return typeof step === "string" ? bytesOf(step) : new Uint8Array();
  }

  #inTurn(request: GenerateRequest): AsyncIterable<GeneratedToken> {
    const { places } = this;
    if (places === undefined) return this.#generate(request);
    const capacity = { sessions: places, tokens: Infinity };
    return this.admission.run(capacity, request, () => this.#generate(request));
  }

  async *#generate(request: GenerateRequest): AsyncGenerator<GeneratedToken> {
    this.requests.push(request);
    let said = 0;
    const { session } = this;
    if (session !== undefined) request.onSession?.(() => session(said));
    try {
      if (request.embeds === true && this.embedding !== undefined) {
        const embedding = this.embedding(request.tokens);
        yield { token: -1, embedding, finish: "stop" };
        return;
      }
      for (let at = 0; ; at++) {
        const index =
          this.endless && at >= this.script.length
            ? this.script.length - 1
            : at;
        const step = this.script[index];
        if (step === undefined) {
          yield { token: EOS, finish: "stop" };
          return;
        }
        if (typeof step === "string" || step instanceof Uint8Array) {
          if (this.places !== undefined) await new Promise(setImmediate);
          this.onToken(request);
          const last = ++said === request.maxTokens;
          const token = 256 + index;
          const logprobs = logprobsOf(request, token, said);
          yield { token, ...logprobs, ...(last && { finish: "length" }) };
          if (last) return;
        } else {
          await wait(step, request);
        }
      }
    } finally {
      this.ended.push({ aborted: request.signal.aborted });
      for (const resolve of this.#endWaiters.splice(0)) resolve();
    }
  }
}

/** A quarter less with each token; the likeliest are the token itself and those after it. */
function logprobsOf(
  { sampling: { logprobs: count } }: GenerateRequest,
  token: number,
  said: number,
): Pick<GeneratedToken, "logprobs"> {
  if (count < 0) return {};
  const logprob = -said / 4;
  const top = Array.from({ length: count }, (_, i) => ({
    token: token + i,
    logprob: logprob - i,
  }));
  return { logprobs: { logprob, top } };
}

async function wait(
  step: Exclude<Step, string | Uint8Array>,
  { signal, onWaiting }: GenerateRequest,
): Promise<void> {
  if ("throw" in step) throw step.throw;
  if ("until" in step) {
    onWaiting?.(step.waitingFor);
    await abortable(step.until, signal);
    onWaiting?.(undefined);
  } else if ("hang" in step) await abortable(new Promise(() => {}), signal);
  else await new Promise(() => {});
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
