/**
 * Markdown as React elements. HTML in it is text like any other, a picture is a link, and a link leads to http, https or mail: whatever a
 * model writes, nothing of it runs, and nothing is fetched until somebody follows a link.
 */
import { lexer, type MarkedToken, type Token, type Tokens } from "marked";
import { memo, type ReactNode, useMemo } from "react";
import { Copy } from "./copy.tsx";
import { inPlace, SCROLLS } from "./elements.ts";

/** Longer texts, and deeper lists and quotes, are shown as they are: to parse them would hold up the page. */
const MAX_CHARS = 200_000;
const MAX_DEPTH = 16;

export const Markdown = memo(({ text }: { text: string }): ReactNode => {
  const tokens = useMemo(() => parsed(text), [text]);
  if (tokens === undefined) return <p className="plain">{text}</p>;
  return <div className="markdown">{blocks(tokens, 0)}</div>;
});

function parsed(text: string): Token[] | undefined {
  if (text.length > MAX_CHARS || isDeep(text)) return undefined;
  try {
    return lexer(text, { gfm: true, breaks: true });
  } catch {
    return undefined; // deeper than its stack
  }
}

/** A line that opens many quotes or lists at once makes the parser slow. */
function isDeep(text: string): boolean {
  return /^[ \t]*(?:(?:>|[-*+]|\d{1,9}[.)])[ \t]*){17,}/m.test(text);
}

function blocks(tokens: readonly Token[], depth: number): ReactNode {
  if (depth > MAX_DEPTH) return tokens.map(({ raw }) => raw).join("");
  return inPlace(tokens, (token) => <Block token={token} depth={depth} />);
}

function Block(props: { token: Token; depth: number }): ReactNode {
  const { depth } = props;
  const token = props.token as MarkedToken;
  switch (token.type) {
    case "space":
    case "def":
      return null;
    case "hr":
      return <hr />;
    case "heading": {
      // The page's own headings come before.
      const Tag = `h${Math.min(6, token.depth + 2)}` as "h3";
      return <Tag>{inline(token.tokens, depth)}</Tag>;
    }
    case "code":
      return <Code lang={token.lang} text={token.text} />;
    case "blockquote":
      return <blockquote>{blocks(token.tokens, depth + 1)}</blockquote>;
    case "list":
      return <List token={token} depth={depth} />;
    case "table":
      return <Table token={token} depth={depth} />;
    case "paragraph":
      return <p>{inline(token.tokens, depth)}</p>;
    // In a list: text without a paragraph of its own, or lines of HTML.
    default:
      return inline([token], depth);
  }
}

function List({
  token,
  depth,
}: {
  token: Tokens.List;
  depth: number;
}): ReactNode {
  const items = inPlace(token.items, (item) => (
    <li>
      {item.task && (item.checked === true ? "☑ " : "☐ ")}
      {blocks(
        item.tokens.filter(({ type }) => type !== "checkbox"),
        depth + 1,
      )}
    </li>
  ));
  if (!token.ordered) return <ul>{items}</ul>;
  const start = token.start === "" ? 1 : token.start;
  return <ol start={start}>{items}</ol>;
}

function Table({
  token,
  depth,
}: {
  token: Tokens.Table;
  depth: number;
}): ReactNode {
  const cells = (row: Tokens.TableCell[], Tag: "td" | "th"): ReactNode =>
    inPlace(row, ({ tokens, align }) => (
      <Tag className={align === "right" ? "num" : undefined}>
        {inline(tokens, depth)}
      </Tag>
    ));
  return (
    <div className="scroll" role="region" aria-label="Table" {...SCROLLS}>
      <table>
        <thead>
          <tr>{cells(token.header, "th")}</tr>
        </thead>
        <tbody>
          {inPlace(token.rows, (row) => (
            <tr>{cells(row, "td")}</tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Code({
  lang,
  text,
}: {
  lang: string | undefined;
  text: string;
}): ReactNode {
  const name = lang?.split(/\s/, 1)[0]?.slice(0, 32) || "code";
  return (
    <div className="code">
      <div className="bar">
        <span>{name}</span>
        <Copy text={text} what={name} />
      </div>
      <pre {...SCROLLS} aria-label={name}>
        <code>{text}</code>
      </pre>
    </div>
  );
}

function inline(tokens: readonly Token[], depth: number): ReactNode {
  return inPlace(tokens, (token) => <Inline token={token} depth={depth} />);
}

function Inline(props: { token: Token; depth: number }): ReactNode {
  const token = props.token as MarkedToken;
  const depth = props.depth + 1;
  if (depth > 2 * MAX_DEPTH) return token.raw;
  switch (token.type) {
    case "br":
      return <br />;
    case "strong":
      return <strong>{inline(token.tokens, depth)}</strong>;
    case "em":
      return <em>{inline(token.tokens, depth)}</em>;
    case "del":
      return <del>{inline(token.tokens, depth)}</del>;
    case "codespan":
      return <code>{token.text}</code>;
    case "link":
      return (
        <Link href={token.href} text={token.text}>
          {inline(token.tokens, depth)}
        </Link>
      );
    case "image":
      return (
        <Link href={token.href} text={token.text}>
          {token.text === "" ? token.href : token.text}
        </Link>
      );
    case "html":
      return /^<br\s*\/?>$/i.test(token.raw.trim()) ? <br /> : token.raw;
    case "escape":
      return token.text;
    case "text":
      return token.tokens === undefined
        ? decoded(token.text)
        : inline(token.tokens, depth);
    default:
      return token.raw;
  }
}

function Link(props: {
  href: string;
  text: string;
  children: ReactNode;
}): ReactNode {
  const { href, children } = props;
  if (!/^(https?:\/\/|mailto:)/i.test(href)) return <>{children}</>;
  return (
    <a href={href} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  );
}

const NAMED: Readonly<Record<string, string>> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
  nbsp: "\u00A0",
};

/** Character references: those that models write. */
function decoded(text: string): string {
  return text.replaceAll(
    /&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(amp|lt|gt|quot|apos|nbsp));/gi,
    (all, decimal?: string, hex?: string, name?: string) => {
      if (name !== undefined) return NAMED[name.toLowerCase()] ?? all;
      const code =
        decimal === undefined ? parseInt(hex ?? "", 16) : Number(decimal);
      return code > 0 && code <= 0x10_ff_ff ? String.fromCodePoint(code) : all;
    },
  );
}
