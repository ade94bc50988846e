/** The conversation view: the list, the messages, and where one writes. It asks a gateway as any other client does. */
import {
  type FormEvent,
  type ReactNode,
  useEffect,
  useRef,
  useState,
} from "react";
import { Composer } from "./composer.tsx";
import { titleOf } from "./conversation.ts";
import { SCROLLS } from "./elements.ts";
import { ConversationList } from "./list.tsx";
import { TurnView } from "./message.tsx";
import { SettingsView } from "./settings.tsx";
import {
  again,
  send,
  setApiKey,
  shownConversation,
  stop,
  talk,
} from "./talk.ts";
import "./chat.css";

/** `api`: the gateway's origin. */
export function ChatView({ api }: { api: string }): ReactNode {
  const now = talk.use();
  const { conversations, shown, running, needsKey, notKept } = now;
  const [isListed, setListed] = useState(false);
  const [isSet, setSet] = useState(false);
  const conversation = shownConversation(now);
  const busy = shown === undefined ? undefined : running[shown];
  const turns = conversation?.turns ?? [];
  return (
    <div className={`chat ${isListed ? "listed" : ""}`}>
      <ConversationList
        conversations={conversations}
        shown={conversation?.id}
        onShown={() => setListed(false)}
      />
      <section className="talk" aria-labelledby="chat-title">
        <header>
          <h2 id="chat-title">
            {conversation === undefined ? "New chat" : titleOf(conversation)}
          </h2>
          <span className="end">
            <button
              type="button"
              className="lister"
              aria-expanded={isListed}
              onClick={() => setListed(!isListed)}
            >
              Conversations
            </button>
            <button
              type="button"
              aria-expanded={isSet}
              onClick={() => setSet(!isSet)}
            >
              Settings
            </button>
          </span>
        </header>
        {isSet && (
          <SettingsView
            api={api}
            settings={conversation?.settings ?? now.settings}
          />
        )}
        <Messages key={shown ?? ""}>
          {turns.length === 0 && <Greeting />}
          {turns.map((turn, i) => (
            <TurnView
              key={turn.id}
              turn={turn}
              running={i === turns.length - 1 ? busy : undefined}
              isBusy={busy !== undefined}
              again={(prompt) => again(api, turn.id, prompt)}
            />
          ))}
        </Messages>
        {notKept !== "" && (
          <p className="error" role="alert">
            {notKept}
          </p>
        )}
        {needsKey && <KeyForm />}
        <Composer
          isRunning={busy !== undefined}
          send={(prompt, files) => send(api, prompt, files)}
          stop={() => shown !== undefined && stop(shown)}
        />
      </section>
    </div>
  );
}

function Greeting(): ReactNode {
  return (
    <div className="greeting">
      <p>Ask the model of this swarm.</p>
      <p className="soft">
        The machines that compute the reply see what you write. Replies can be
        wrong.
      </p>
    </div>
  );
}

/** This close to the end somebody reads what comes; further up they read something else. */
const NEAR_PX = 80;

/** Follows what comes as long as its end is in sight. */
function Messages({ children }: { children: ReactNode }): ReactNode {
  const box = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  useEffect(() => {
    if (follows.current && box.current !== null)
      box.current.scrollTop = box.current.scrollHeight;
  });
  return (
    <div
      ref={box}
      className="messages"
      role="log"
      aria-label="Messages"
      {...SCROLLS}
      onScroll={({ currentTarget: at }) => {
        const belowPx = at.scrollHeight - at.scrollTop - at.clientHeight;
        follows.current = belowPx < NEAR_PX;
      }}
    >
      {children}
    </div>
  );
}

function KeyForm(): ReactNode {
  const [key, setKey] = useState("");
  const [said, setSaid] = useState(false);
  const onSubmit = (event: FormEvent): void => {
    event.preventDefault();
    setApiKey(key.trim());
    setSaid(true);
  };
  return (
    <form className="key" onSubmit={onSubmit}>
      <label>
        The gateway wants an API key{" "}
        <input
          type="password"
          autoComplete="off"
          value={key}
          onChange={({ target }) => setKey(target.value)}
        />
      </label>
      <button type="submit" disabled={key.trim() === ""}>
        Use it
      </button>
      <span className="soft" role="status">
        {said ? "Kept until this tab is closed. Retry now." : ""}
      </span>
    </form>
  );
}
