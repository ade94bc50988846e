/** Where the page is: `#/nodes`, `#/nodes/12D3…`. */
import { useSyncExternalStore } from "react";

export const VIEWS = [
  ["", "Overview"],
  ["chat", "Chat"],
  ["nodes", "Nodes"],
  ["network", "Network"],
  ["torrents", "Torrents"],
  ["sessions", "Sessions"],
  ["dht", "DHT"],
  ["events", "Events"],
] as const;
export type ViewName = (typeof VIEWS)[number][0];

export interface Route {
  view: ViewName;
  /** What follows the view's name. */
  rest: string;
}

function subscribe(listener: () => void): () => void {
  addEventListener("hashchange", listener);
  return () => removeEventListener("hashchange", listener);
}

export function useRoute(): Route {
  const hash = useSyncExternalStore(subscribe, () => location.hash);
  const [, name = "", ...rest] = hash.split("/");
  const known = VIEWS.find(([view]) => view === name);
  return { view: known?.[0] ?? "", rest: rest.map(decode).join("/") };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function hrefOf(view: ViewName, rest = ""): string {
  return `#/${view}${rest === "" ? "" : `/${encodeURIComponent(rest)}`}`;
}
