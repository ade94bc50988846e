/** Light or dark: the system's, until someone chooses. */
import { createStore } from "./store.ts";

export type Theme = "system" | "light" | "dark";
const KEY = "shoal-theme";

export const theme = createStore<Theme>(stored());
/** Counts changes, so that coloured drawings are redrawn. */
export const themeVersion = createStore(0);

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "system";
  } catch {
    return "system"; // storage may be forbidden
  }
}

export function applyTheme(): void {
  const chosen = theme.get();
  const { dataset } = document.documentElement;
  if (chosen === "system") delete dataset.theme;
  else dataset.theme = chosen;
  themeVersion.set(themeVersion.get() + 1);
}

export function setTheme(next: Theme): void {
  theme.set(next);
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // then it holds until the page is closed
  }
  applyTheme();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener(
  "change",
  applyTheme,
);
