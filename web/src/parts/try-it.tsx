/** Sends a prompt directly from this page to the gateway. Neither prompt nor reply is stored. */
import {
  type FormEvent,
  type ReactNode,
  useEffect,
  useRef,
  useState,
} from "react";
import { askGateway, GatewayError } from "../gateway.ts";
import { ms, perSecond } from "../format.ts";
import { Panel } from "./small.tsx";

interface Result {
  text: string;
  tokens: number;
  startedMs: number;
  firstMs: number | undefined;
  lastMs: number | undefined;
  /** "shard 2 of 4 (layers 8-11)" */
  waitingFor: string | undefined;
  error: string | undefined;
  running: boolean;
}

export function TryIt({ api }: { api: string }): ReactNode {
  const [prompt, setPrompt] = useState("Tell me a story.");
  const [key, setKey] = useState("");
  const [needsKey, setNeedsKey] = useState(false);
  const [result, setResult] = useState<Result>();
  const abort = useRef<AbortController>(undefined);
  useEffect(() => () => abort.current?.abort(), []);
  const isRunning = result?.running === true;

  const run = async (): Promise<void> => {
    const controller = new AbortController();
    abort.current = controller;
    let now: Result = {
      text: "",
      tokens: 0,
      startedMs: performance.now(),
      firstMs: undefined,
      lastMs: undefined,
      waitingFor: undefined,
      error: undefined,
      running: true,
    };
    const tell = (change: Partial<Result>): void => {
      now = { ...now, ...change };
      setResult(now);
    };
    tell({});
    try {
      const { signal } = controller;
      const onWaiting = (waitingFor?: string): void => tell({ waitingFor });
      const asking = { api, prompt, key, signal, onWaiting };
      for await (const piece of askGateway(asking)) {
        const lastMs = performance.now();
        tell({
          waitingFor: undefined,
          text: now.text + piece,
          tokens: now.tokens + 1,
          firstMs: now.firstMs ?? lastMs,
          lastMs,
        });
      }
    } catch (error) {
      if (error instanceof GatewayError && error.status === 401)
        setNeedsKey(true);
      if (!controller.signal.aborted)
        tell({ error: error instanceof Error ? error.message : String(error) });
    }
    tell({ running: false, waitingFor: undefined });
  };
  const onSubmit = (event: FormEvent): void => {
    event.preventDefault();
    if (!isRunning) void run();
  };
  return (
    <Panel title="Try it" note={`at ${api}`} className="try">
      <form onSubmit={onSubmit}>
        <label htmlFor="prompt" className="visually-hidden">
          Prompt
        </label>
        <textarea
          id="prompt"
          value={prompt}
          maxLength={20_000}
          onChange={({ target }) => setPrompt(target.value)}
        />
        {needsKey && (
          <label>
            API key{" "}
            <input
              type="password"
              autoComplete="off"
              value={key}
              onChange={({ target }) => setKey(target.value)}
            />
          </label>
        )}
        <div className="row">
          <button
            type="submit"
            className="primary"
            disabled={isRunning || prompt.trim() === ""}
          >
            Ask
          </button>
          <button
            type="button"
            disabled={!isRunning}
            onClick={() => abort.current?.abort()}
          >
            Stop
          </button>
          {result !== undefined && <Speed result={result} />}
        </div>
        {result !== undefined && (
          <>
            <div
              className="reply"
              role="log"
              aria-label="Reply"
              aria-busy={isRunning}
            >
              {result.text}
            </div>
            {result.waitingFor !== undefined && (
              <p className="soft" role="status">
                Waiting for {result.waitingFor} …
              </p>
            )}
            {result.error !== undefined && (
              <p className="error" role="alert">
                {result.error}
              </p>
            )}
          </>
        )}
      </form>
    </Panel>
  );
}

function Speed({ result }: { result: Result }): ReactNode {
  const { tokens, startedMs, firstMs, lastMs } = result;
  const first = firstMs === undefined ? undefined : firstMs - startedMs;
  const took =
    firstMs === undefined || lastMs === undefined || tokens < 2
      ? undefined
      : (lastMs - firstMs) / 1000;
  const speed = took === undefined ? undefined : (tokens - 1) / took;
  return (
    <span className="soft">
      first text after {ms(first)} · {perSecond(speed, "pieces")}
    </span>
  );
}
