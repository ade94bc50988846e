import { createElement, Fragment, type ReactNode } from "react";

/** What scrolls is reached by keyboard. */
export const SCROLLS = Object.freeze({ tabIndex: 0 });

/** Children that are told apart by their place alone: what is written only grows at its end. */
export function inPlace<T>(
  items: readonly T[],
  show: (item: T) => ReactNode,
): ReactNode {
  return createElement(Fragment, null, ...items.map(show));
}

/** A `ref` that takes the focus when the element appears. */
export function focused(element: HTMLElement | null): void {
  element?.focus();
}
