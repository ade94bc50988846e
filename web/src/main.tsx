import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";
import { startLive } from "./live.ts";
import { applyTheme } from "./theme.ts";
import "uplot/dist/uPlot.min.css";
import "./style.css";

applyTheme();
startLive();
const root = document.querySelector("#app");
if (root !== null)
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
