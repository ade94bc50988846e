/** One turn of a conversation: what was asked, and the reply with its reasoning, its calls, and who computed it. */
import { type KeyboardEvent, type ReactNode, useState } from "react";
import { count, ms, perSecond, shortPeer } from "../format.ts";
import type { Call, Turn, Facts, Reply } from "./conversation.ts";
import { Copy } from "./copy.tsx";
import { focused, inPlace, SCROLLS } from "./elements.ts";
import { Markdown } from "./markdown.tsx";

export interface Running {
  waitingFor: string | undefined;
}

export function TurnView(props: {
  turn: Turn;
  /** While the reply comes. */
  running: Running | undefined;
  /** Another reply of this conversation comes: nothing is asked meanwhile. */
  isBusy: boolean;
  again: (prompt?: string) => void;
}): ReactNode {
  const { turn, running, isBusy, again } = props;
  return (
    <>
      <Prompt turn={turn} isBusy={isBusy} again={again} />
      <ReplyView
        reply={turn.reply}
        running={running}
        isBusy={isBusy}
        again={() => again()}
      />
    </>
  );
}

function Prompt(props: {
  turn: Turn;
  isBusy: boolean;
  again: (prompt: string) => void;
}): ReactNode {
  const { turn, isBusy, again } = props;
  const { prompt, files } = turn;
  const [edited, setEdited] = useState<string>();
  const done = (): void => {
    if (edited === undefined || edited.trim() === "" || isBusy) return;
    setEdited(undefined);
    again(edited);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === "Escape") setEdited(undefined);
    if (!isSend(event)) return;
    event.preventDefault();
    done();
  };
  return (
    <article className="message user" aria-label="You">
      {files.length > 0 && (
        <ul className="files" aria-label="Files">
          {files.map(({ name, text }) => (
            <li key={name}>
              <details>
                <summary>
                  {name}{" "}
                  <span className="soft">{count(text.length)} characters</span>
                </summary>
                <pre {...SCROLLS} aria-label={name}>
                  {text}
                </pre>
              </details>
            </li>
          ))}
        </ul>
      )}
      {edited === undefined ? (
        <>
          <div className="plain">{prompt}</div>
          <div className="actions">
            <button
              type="button"
              className="quiet"
              disabled={isBusy}
              onClick={() => setEdited(prompt)}
            >
              Edit<span className="visually-hidden"> the message</span>
            </button>
            <Copy text={prompt} what="the message" />
          </div>
        </>
      ) : (
        <>
          <textarea
            ref={focused}
            aria-label="Edit the message"
            value={edited}
            onChange={({ target }) => setEdited(target.value)}
            onKeyDown={onKeyDown}
          />
          <div className="actions">
            <button type="button" className="primary" onClick={done}>
              Send again
            </button>
            <button type="button" onClick={() => setEdited(undefined)}>
              Cancel
            </button>
            <span className="soft">What follows it is replaced.</span>
          </div>
        </>
      )}
    </article>
  );
}

/** Enter, but not with Shift, and not the one that ends the input of a character (an IME's). */
export function isSend(event: KeyboardEvent): boolean {
  return (
    event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing
  );
}

function ReplyView(props: {
  reply: Reply;
  running: Running | undefined;
  isBusy: boolean;
  again: () => void;
}): ReactNode {
  const { reply, running, isBusy, again } = props;
  const { text, reasoning, calls, facts, error } = reply;
  const isRunning = running !== undefined;
  return (
    <article className="message model" aria-label="Reply" aria-busy={isRunning}>
      {reasoning !== "" && (
        <details className="reasoning">
          <summary>
            {isRunning && text === "" ? "Thinking …" : "Thoughts"}
          </summary>
          <Markdown text={reasoning} />
        </details>
      )}
      {text !== "" && <Markdown text={text} />}
      {inPlace(calls, (call) => (
        <CallView call={call} />
      ))}
      {isRunning && (
        <p className="soft writing" role="status">
          {running.waitingFor === undefined
            ? text === "" && reasoning === ""
              ? "Computing the prompt …"
              : "Writing …"
            : `Waiting for ${running.waitingFor} …`}
        </p>
      )}
      {error !== "" && (
        <p className="error" role="alert">
          {error}
        </p>
      )}
      {!isRunning && (
        <div className="actions">
          <button
            type="button"
            className="quiet"
            disabled={isBusy}
            onClick={again}
          >
            Retry
          </button>
          {text !== "" && <Copy text={text} what="the reply" />}
          <span className="soft">{ENDS[reply.end] ?? ""}</span>
          {facts !== null && <FactsView facts={facts} />}
        </div>
      )}
    </article>
  );
}

function CallView({ call }: { call: Call }): ReactNode {
  return (
    <details className="call">
      <summary>
        Calls <code>{call.name}</code>
      </summary>
      <pre {...SCROLLS} aria-label="Arguments">
        {indented(call.text)}
      </pre>
    </details>
  );
}

/** What is worth a word. */
const ENDS: Readonly<Record<string, string>> = {
  "": "cut off when the page was closed",
  stopped: "stopped",
  length: "cut off at the limit of tokens",
};

function FactsView({ facts }: { facts: Facts }): ReactNode {
  const { tokens, tokensPerSecond, stages, recoveries } = facts;
  const machines = new Set(stages.map(({ peer }) => peer)).size;
  return (
    <details className="computed">
      <summary>
        {tokensPerSecond !== null &&
          `${perSecond(tokensPerSecond, "tokens")} · `}
        {count(tokens)} tokens
        {machines > 0 &&
          ` · ${count(machines)} ${machines === 1 ? "machine" : "machines"}`}
      </summary>
      <p>
        {facts.model}: {count(facts.promptTokens)} tokens of prompt
        {facts.cachedTokens > 0 &&
          ` (${count(facts.cachedTokens)} computed before)`}
        , first token after {ms(facts.firstMs)}
        {recoveries > 0 && `, ${count(recoveries)} recoveries`}
      </p>
      {stages.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">Layers</th>
              <th scope="col">Machine</th>
              <th scope="col" className="num">
                Computes a token in
              </th>
            </tr>
          </thead>
          <tbody>
            {stages.map(({ layers, peer, computeMs }) => (
              <tr key={layers}>
                <td>{layers}</td>
                <td className="mono" title={peer}>
                  {shortPeer(peer)}
                </td>
                <td className="num">{ms(computeMs)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </details>
  );
}

/** JSON on lines; as it is where it is none, or not yet. */
function indented(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), undefined, 2);
  } catch {
    return text;
  }
}
