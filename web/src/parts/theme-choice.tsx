import type { ReactNode } from "react";
import { setTheme, type Theme, theme } from "../theme.ts";

const THEMES: readonly Theme[] = ["system", "light", "dark"];

export function ThemeChoice(): ReactNode {
  const chosen = theme.use();
  return (
    <label>
      <span className="visually-hidden">Theme</span>
      <select
        value={chosen}
        onChange={({ target }) => setTheme(target.value as Theme)}
      >
        {THEMES.map((name) => (
          <option key={name} value={name}>
            {name === "system" ? "system theme" : name}
          </option>
        ))}
      </select>
    </label>
  );
}
