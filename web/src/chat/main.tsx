/** The gateway's own page: the conversation alone. */
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ThemeChoice } from "../parts/theme-choice.tsx";
import { applyTheme } from "../theme.ts";
import { ChatView } from "./chat.tsx";
import "../style.css";

applyTheme();
const root = document.querySelector("#app");
if (root !== null)
  createRoot(root).render(
    <StrictMode>
      <div className="fills">
        <a className="skip" href="#main">
          To the content
        </a>
        <header className="top">
          <div className="brand">
            <h1>Shoal</h1>
          </div>
          <div className="tools">
            <ThemeChoice />
          </div>
        </header>
        <main id="main" tabIndex={-1}>
          <ChatView api={location.origin} />
        </main>
      </div>
    </StrictMode>,
  );
