/** What goes along with each request of a conversation. */
import { type ReactNode, useEffect, useState } from "react";
import { servedModels } from "../gateway.ts";
import type { Settings } from "./conversation.ts";
import { apiKey, set } from "./talk.ts";

export function SettingsView(props: {
  api: string;
  settings: Settings;
}): ReactNode {
  const { api, settings } = props;
  const { system, temperature, maxTokens } = settings;
  return (
    <div className="settings" id="settings" role="group" aria-label="Settings">
      <label className="wide">
        System message
        <textarea
          rows={2}
          value={system}
          onChange={({ target }) => set({ system: target.value })}
        />
      </label>
      <label>
        Temperature
        <input
          type="number"
          min={0}
          max={2}
          step={0.1}
          placeholder="default"
          value={temperature ?? ""}
          onChange={({ target }) =>
            set({ temperature: within(target.value, 0, 2) })
          }
        />
      </label>
      <label>
        Most tokens of a reply
        <input
          type="number"
          min={1}
          max={1 << 24}
          step={1}
          placeholder="as many as fit"
          value={maxTokens ?? ""}
          onChange={({ target }) =>
            set({ maxTokens: within(target.value, 1, 1 << 24, true) })
          }
        />
      </label>
      <ModelChoice api={api} model={settings.model} />
    </div>
  );
}

/** Null for none, or one that is out of range. */
function within(
  text: string,
  min: number,
  max: number,
  isWhole = false,
): number | null {
  const value = Number(text);
  const isGood = text !== "" && value >= min && value <= max;
  return isGood && (!isWhole || Number.isInteger(value)) ? value : null;
}

/** Where there is a choice. */
function ModelChoice({
  api,
  model,
}: {
  api: string;
  model: string;
}): ReactNode {
  const [models, setModels] = useState<readonly string[]>([]);
  useEffect(() => {
    const leaving = new AbortController();
    const { signal } = leaving;
    servedModels({ api, key: apiKey(), signal }).then(setModels, () => {
      // An error that matters comes with the next message.
    });
    return () => leaving.abort();
  }, [api]);
  const names = new Set([...(model === "" ? [] : [model]), ...models]);
  if (names.size < 2) return null;
  return (
    <label>
      Model
      <select
        value={model === "" ? models[0] : model}
        onChange={({ target }) => set({ model: target.value })}
      >
        {[...names].map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
    </label>
  );
}
