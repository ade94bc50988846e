/** A table that sorts by its headers, and whose rows become cards on narrow screens. */
import { memo, type ReactNode, useState } from "react";

export interface Column<Row> {
  name: string;
  cell: (row: Row) => ReactNode;
  /** The sort key; without one the column is not sortable. Null sorts last. */
  by?: (row: Row) => string | number | null;
  /** Numbers are right-aligned. */
  num?: boolean;
  wrap?: boolean;
}

interface Props<Row> {
  label: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  keyOf: (row: Row) => string;
  /** Rows with the same text are not redrawn. */
  signature: (row: Row) => string;
  first: string;
}

export function Table<Row>(props: Props<Row>): ReactNode {
  const { label, columns, rows, keyOf, signature, first } = props;
  const [order, setOrder] = useState({ name: first, down: false });
  const by = columns.find(({ name }) => name === order.name)?.by;
  const sorted = by === undefined ? rows : sortedBy(rows, by, order.down);
  return (
    // Scrollable by keyboard if it is wider than the page.
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className="scroll" tabIndex={0} role="region" aria-label={label}>
      <table className="cards" role="table" aria-label={label}>
        <thead role="rowgroup">
          <tr role="row">
            {columns.map(({ name, by: sortable, num = false }) => {
              const isBy = sortable !== undefined && name === order.name;
              return (
                <th
                  key={name}
                  role="columnheader"
                  scope="col"
                  className={num ? "num" : undefined}
                  aria-sort={
                    isBy ? (order.down ? "descending" : "ascending") : undefined
                  }
                >
                  {sortable === undefined ? (
                    name
                  ) : (
                    <button
                      type="button"
                      onClick={() =>
                        setOrder({ name, down: isBy && !order.down })
                      }
                    >
                      {name}
                      {isBy && (order.down ? " ↓" : " ↑")}
                    </button>
                  )}
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {sorted.map((row) => (
            <TableRow
              key={keyOf(row)}
              row={row}
              columns={columns as readonly Column<unknown>[]}
              signature={signature(row)}
            />
          ))}
        </tbody>
      </table>
    </div>
  );
}

const TableRow = memo(
  function TableRow(props: {
    row: unknown;
    columns: readonly Column<unknown>[];
    signature: string;
  }): ReactNode {
    return (
      <tr role="row">
        {props.columns.map(({ name, cell, num = false, wrap = false }) => (
          <td
            key={name}
            role="cell"
            data-label={name}
            className={num ? "num" : wrap ? "wrap" : undefined}
          >
            {cell(props.row)}
          </td>
        ))}
      </tr>
    );
  },
  (old, next) =>
    old.signature === next.signature && old.columns === next.columns,
);

function sortedBy<Row>(
  rows: readonly Row[],
  by: (row: Row) => string | number | null,
  down: boolean,
): Row[] {
  const keyed = rows.map((row) => ({ row, key: by(row) }));
  keyed.sort((a, b) => {
    if (a.key === null || b.key === null)
      return (a.key === null ? 1 : 0) - (b.key === null ? 1 : 0);
    const order =
      typeof a.key === "number" && typeof b.key === "number"
        ? a.key - b.key
        : String(a.key).localeCompare(String(b.key));
    return down ? -order : order;
  });
  return keyed.map(({ row }) => row);
}
