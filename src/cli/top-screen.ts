/** What `shoal top` shows: the report of `shoal status`, and above it the rates between two answers. Pure. */
import type { NodeStatus } from "../status/index.ts";
import { formatBytes, printable } from "../lib/index.ts";
import { reportLines, type ReportOptions } from "../diagnostics/index.ts";

export interface Lost {
  /** Since when nothing comes. */
  seconds: number;
  why: string;
}

/** The lines of one screen; unknown is a dash. */
export function topLines(
  now: NodeStatus | undefined,
  before: NodeStatus | undefined,
  lost: Lost | undefined,
  options: ReportOptions = {},
): string[] {
  const state =
    lost === undefined
      ? "q quits"
      : `no answer for ${lost.seconds} s: ${lost.why}; trying again; q quits`;
  if (now === undefined) return [printable(`shoal top  ${state}`)];
  return [
    `shoal top  ${new Date(now.nowMs).toISOString().slice(11, 19)} UTC  ${printable(state)}`,
    ratesLine(now, before),
    "",
    ...reportLines(now, options),
    ...sessionLines(now).map((line) => printable(line)),
  ];
}

function ratesLine(now: NodeStatus, before: NodeStatus | undefined): string {
  const grown = (of: (status: NodeStatus) => number | undefined) =>
    rateOf(of(now), before && of(before), before && now.nowMs - before.nowMs);
  const tokens = grown(({ sessions }) => sessions?.tokens);
  const cpu = grown(({ process }) => process.cpuSeconds);
  const { torrents } = now;
  return [
    `tokens ${tokens === undefined ? "-" : tokens.toFixed(1)}/s`,
    `up ${rateText(torrents?.uploadBytesPerSecond)}`,
    `down ${rateText(torrents?.downloadBytesPerSecond)}`,
    `connections ${now.connections.length}`,
    `memory ${formatBytes(now.process.memoryBytes)}`,
    `CPU ${cpu === undefined ? "-" : Math.round(cpu * 100)} % of a core`,
  ].join("   ");
}

/** Undefined where it is not known, or was counted anew. */
function rateOf(
  now: number | undefined,
  before: number | undefined,
  tookMs: number | undefined,
): number | undefined {
  if (now === undefined || before === undefined || tookMs === undefined)
    return undefined;
  if (tookMs <= 0 || now < before) return undefined;
  return ((now - before) * 1000) / tookMs;
}

function rateText(bytesPerSecond: number | undefined): string {
  return bytesPerSecond === undefined
    ? "-"
    : `${formatBytes(bytesPerSecond)}/s`;
}

const SESSIONS = 6;

function sessionLines({ sessions }: NodeStatus): string[] {
  const recent = sessions?.recent.slice(0, SESSIONS) ?? [];
  if (recent.length === 0) return [];
  return [
    "",
    "Requests",
    ...recent.map((session) => {
      const { id, state, error, promptTokens, tokens } = session;
      return `  ${id.slice(0, 8)}  ${error ?? state}  ${promptTokens ?? "-"} + ${tokens} tokens  ${known(session.tokensPerSecond, "tokens/s")}  first after ${known(session.timeToFirstTokenMs, "ms")}  ${session.route.length} stages`;
    }),
  ];
}

function known(value: number | null, unit: string): string {
  return `${value === null ? "-" : value.toFixed(1)} ${unit}`;
}

const ESCAPE = "\u001B";
/** Another screen, so that what was in the terminal is there again afterwards; no cursor. */
export const ENTER_SCREEN = `${ESCAPE}[?1049h${ESCAPE}[?25l`;
export const LEAVE_SCREEN = `${ESCAPE}[?25h${ESCAPE}[?1049l`;

/** Written over what is there, so that nothing flickers; what does not fit is left out. */
export function repaint(lines: readonly string[], rows: number): string {
  const fit =
    lines.length <= rows
      ? lines
      : [
          ...lines.slice(0, rows - 1),
          `… ${lines.length - rows + 1} lines more`,
        ];
  return `${ESCAPE}[H${fit.map((line) => `${line}${ESCAPE}[K`).join("\r\n")}${ESCAPE}[J`;
}
