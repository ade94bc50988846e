/** The charts of the overview, without what this process does not measure. */
import { type ReactNode, useMemo } from "react";
import { bytes, count, perSecond, rate } from "../format.ts";
import { history } from "../live.ts";
import { Chart } from "./chart.tsx";
import { Empty, Panel } from "./small.tsx";

const tokens = (value: number | null | undefined): string =>
  perSecond(value, "tokens");

export function Charts(): ReactNode {
  const columns = history.use();
  const charts = useMemo(() => {
    if (columns === undefined) return [];
    const all = [
      {
        title: "Tokens",
        show: tokens,
        tick: count,
        least: 10,
        series: [{ name: "tokens", values: columns.tokensPerSecond }],
      },
      {
        title: "Transfers",
        show: rate,
        tick: bytes,
        least: 1024,
        series: [
          { name: "up", values: columns.uploadBytesPerSecond },
          { name: "down", values: columns.downloadBytesPerSecond },
        ],
      },
      {
        title: "Connections",
        show: count,
        tick: count,
        least: 4,
        series: [{ name: "connections", values: columns.connections }],
      },
      {
        title: "Memory of this process",
        show: bytes,
        tick: bytes,
        least: 1024,
        series: [{ name: "memory", values: columns.memoryBytes }],
      },
    ];
    return all.filter(({ series }) =>
      series.some(({ values }) => values.some((value) => value !== null)),
    );
  }, [columns]);
  return (
    <Panel title="The last hour" note="a sample every 5 s">
      {columns === undefined || charts.length === 0 ? (
        <Empty>No samples yet.</Empty>
      ) : (
        <div className="charts">
          {charts.map(({ title, show, series, tick, least }) => (
            <Chart
              key={title}
              title={title}
              show={show}
              series={series}
              tick={tick}
              least={least}
              timeMs={columns.timeMs}
            />
          ))}
        </div>
      )}
    </Panel>
  );
}
