/** One chart of the last hour, drawn by uPlot; the caption shows the current value. */
import { type ReactNode, useEffect, useRef } from "react";
import uPlot from "uplot";
import { themeVersion } from "../theme.ts";

export interface Series {
  name: string;
  values: readonly (number | null)[];
}

interface Props {
  title: string;
  timeMs: readonly number[];
  series: readonly Series[];
  show: (value: number | null | undefined) => string;
  /** A shorter form for the axis, where there is less room. */
  tick: (value: number) => string;
  /** The axis reaches at least this value. */
  least: number;
}

const HEIGHT = 116;
/** The time axis shows at least this much. */
const SHORTEST_S = 60;

export function Chart(props: Props): ReactNode {
  const { title, timeMs, series, show, tick, least } = props;
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const version = themeVersion.use();
  const names = series.map(({ name }) => name).join();
  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const made = new uPlot(
      optionsOf(names.split(","), { tick, least, version }, element),
      [[], ...names.split(",").map(() => [])],
      element,
    );
    plot.current = made;
    const observer = new ResizeObserver(() =>
      made.setSize({ width: element.clientWidth, height: HEIGHT }),
    );
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, [names, tick, least, version]);
  useEffect(() => {
    plot.current?.setData([
      timeMs.map((time) => time / 1000),
      ...series.map(({ values }) => [...values]),
    ]);
    // A new plot, after a change of theme, needs the data again.
    // oxlint-disable-next-line react/exhaustive-effect-dependencies
  }, [timeMs, series, names, version]);
  const now = series.map(({ values }) => show(values.at(-1))).join(" · ");
  return (
    <figure className="chart" aria-label={`${title}, last hour: now ${now}`}>
      <figcaption>
        <span>
          {title}{" "}
          {series.length > 1 && (
            <span className="key">
              {series.map(({ name }) => (
                <span key={name}>{name}</span>
              ))}
            </span>
          )}
        </span>
        <b>{now}</b>
      </figcaption>
      <div className="plot" ref={place} aria-hidden="true" />
    </figure>
  );
}

/** Colours come from the current theme; `version` changes with it. */
function optionsOf(
  names: readonly string[],
  how: Pick<Props, "tick" | "least"> & { version: number },
  element: HTMLElement,
): uPlot.Options {
  // A canvas does not support light-dark(); only an element's colour shows which of the two applies.
  const color = (name: string): string => {
    element.style.color = `var(${name})`;
    return getComputedStyle(element).color;
  };
  const axis = {
    stroke: color("--soft"),
    grid: { stroke: color("--line"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  return {
    width: Math.max(element.clientWidth, 80),
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    scales: {
      // uPlot would give a single sample an axis of years.
      x: { range: (_, min, max) => [Math.min(min, max - SHORTEST_S), max] },

      y: { range: (_, __, max) => [0, Math.max(max * 1.1, how.least)] },
    },
    axes: [
      { ...axis, size: 22, space: 70 },
      {
        ...axis,
        size: 58,
        space: 28,
        values: (_, ticks) => ticks.map((value) => how.tick(value)),
      },
    ],
    series: [
      {},
      ...names.map((label, i) => ({
        label,
        stroke: color(i === 0 ? "--chart-1" : "--chart-2"),
        width: 1.5,
        points: { show: false },
      })),
    ],
  };
}
