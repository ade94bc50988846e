/** Small components of every view. */
import type { ReactNode } from "react";
import { DASH, percent, shortPeer } from "../format.ts";
import { hrefOf } from "../route.ts";
import type { Tone } from "../words.ts";

export function Panel(props: {
  title: string;
  note?: ReactNode;
  end?: ReactNode;
  className?: string;
  children: ReactNode;
}): ReactNode {
  const { title, note, end, className = "", children } = props;
  const id = `panel-${title.toLowerCase().replaceAll(/[^a-z]+/g, "-")}`;
  return (
    <section className={`panel ${className}`} aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        {note !== undefined && <span className="soft">{note}</span>}
        {end !== undefined && <span className="end">{end}</span>}
      </header>
      {children}
    </section>
  );
}

export function State({ word, tone }: { word: string; tone: Tone }): ReactNode {
  return <span className={`state tone-${tone}`}>{word}</span>;
}

export function Peer({ peer }: { peer: string }): ReactNode {
  return (
    <a className="mono" href={hrefOf("nodes", peer)} title={peer}>
      {shortPeer(peer)}
    </a>
  );
}

export function Bar(props: {
  done: number;
  size: number;
  label: string;
}): ReactNode {
  const { done, size, label } = props;
  return (
    <span title={percent(done, size)}>
      <progress max={Math.max(size, 1)} value={done} aria-label={label} />
    </span>
  );
}

export function Facts({
  of,
}: {
  of: readonly (readonly [name: string, value: ReactNode, wide?: boolean])[];
}): ReactNode {
  return (
    <dl className="facts">
      {of.map(([name, value, wide = false]) => (
        <div key={name} className={wide ? "wide" : undefined}>
          <dt>{name}</dt>
          <dd>{value ?? DASH}</dd>
        </div>
      ))}
    </dl>
  );
}

export function Empty({ children }: { children: ReactNode }): ReactNode {
  return <p className="empty">{children}</p>;
}
