/** The conversations that this browser keeps. */
import type { ReactNode } from "react";
import { type Conversation, titleOf } from "./conversation.ts";
import { remove, show } from "./talk.ts";

export function ConversationList(props: {
  conversations: readonly Conversation[];
  shown: string | undefined;
  /** One was chosen. */
  onShown: () => void;
}): ReactNode {
  const { conversations, shown, onShown } = props;
  const choose = (id: string | undefined): void => {
    show(id);
    onShown();
  };
  return (
    <nav className="conversations" aria-label="Conversations">
      <button
        type="button"
        className="new"
        aria-current={shown === undefined ? "true" : undefined}
        onClick={() => choose(undefined)}
      >
        New chat
      </button>
      <ul>
        {conversations.map((one) => (
          <li key={one.id}>
            <button
              type="button"
              className="title"
              aria-current={one.id === shown ? "true" : undefined}
              onClick={() => choose(one.id)}
            >
              {titleOf(one)}
            </button>
            <button type="button" className="quiet" onClick={() => ask(one)}>
              Delete<span className="visually-hidden"> {titleOf(one)}</span>
            </button>
          </li>
        ))}
      </ul>
      <p className="soft">Kept in this browser only, for this address.</p>
    </nav>
  );
}

function ask(conversation: Conversation): void {
  const title = titleOf(conversation);
  if (confirm(`Delete “${title}”? It cannot be undone.`))
    remove(conversation.id);
}
