/** `shoal plan`: the cut of now, the better one, and what each machine would do, in lines for people. Pure. */
import { formatDuration } from "../lib/index.ts";
import type {
  CutStatus,
  PlanMachineStatus,
  PlanStatus,
} from "../status/index.ts";
import { type ReportOptions, shown } from "./report-lines.ts";

export function planLines(
  plan: PlanStatus,
  options: ReportOptions = {},
): string[] {
  const { cluster, model, version, sessions, now, better, gain } = plan;
  const own = version === 0 ? ", the cluster's own plan" : "";
  const many = `${sessions.toFixed(1)} sessions at once`;
  const isSame = better !== null && sameRanges(now, better);
  return shown(
    [
      `Cluster ${cluster}: ${model} in ${now.stages.length} stages, cut ${version}${own}`,
      `Now: ${ms(now.msPerToken)} a token expected, with ${many}`,
      ...stageLines(now, plan.machines, nowOf),
      ...(better === null || isSame
        ? []
        : [
            `Better: ${ms(better.msPerToken)} a token expected, ${percent(gain)} less`,
            ...stageLines(better, plan.machines, thenOf),
          ]),
      `  ${conclusion(plan, isSame)}`,
    ],
    options,
  );
}

function stageLines(
  { stages }: CutStatus,
  machines: readonly PlanMachineStatus[],
  describe: (machine: PlanMachineStatus) => string,
): string[] {
  return stages.map(({ layerStart, layerEnd, computeMs }, i) => {
    const those = machines.filter(({ stage }) => stage === i).map(describe);
    const who = those.length === 0 ? "" : `: ${those.join(", ")}`;
    return `  Stage ${i}, layers ${layerStart}-${layerEnd - 1}, ${ms(computeMs)}${who}`;
  });
}

function nowOf({ peer, msPerToken, move }: PlanMachineStatus): string {
  const stays = { auto: "", ask: ", moves when agreed", off: ", stays" }[move];
  return `…${peer.slice(-8)} ${ms(msPerToken)}${stays}`;
}

function thenOf(machine: PlanMachineStatus): string {
  const { peer, layerStart, layerEnd, thenStart, thenEnd, fetches } = machine;
  const name = `…${peer.slice(-8)}`;
  if (layerStart === thenStart && layerEnd === thenEnd) return `${name} stays`;
  const more = thenEnd - thenStart - (layerEnd - layerStart);
  const change =
    more === 0
      ? "other layers"
      : `${Math.abs(more)} ${more > 0 ? "more" : "fewer"}`;
  const fetched = fetches === 0 ? "nothing to fetch" : `${fetches} to fetch`;
  return `${name} ${change}, ${fetched}`;
}

function conclusion(plan: PlanStatus, isSame: boolean): string {
  const { reason, moving, gain, enough, enoughForMs, moveAfterMs, restsMs } =
    plan;
  if (moving !== null) return `Nodes are loading cut ${moving}`;
  if (reason !== null) return `Nothing better can be said: ${reason}`;
  if (isSame) return "No other cut is better";
  if (enoughForMs === null)
    return (gain ?? 0) < enough
      ? `It is not worth a change: ${percent(gain)} less is under ${percent(enough)}`
      : "It is not sure: the measured times vary too much";
  const asked = plan.machines.filter(
    (m) =>
      m.move === "ask" &&
      (m.layerStart !== m.thenStart || m.layerEnd !== m.thenEnd),
  );
  const rest =
    restsMs === 0 ? "" : `, and rests for ${formatDuration(restsMs)} more`;
  const after = `it has been worth a change for ${formatDuration(enoughForMs)} of ${formatDuration(moveAfterMs)} of work${rest}`;
  if (asked.length === 0) return `The cut moves by itself: ${after}`;
  const names = asked.map(({ peer }) => `…${peer.slice(-8)}`).join(", ");
  return `The operators of ${names} must agree, with \`shoal plan --agree\` on each machine: ${after}`;
}

function sameRanges(a: CutStatus, b: CutStatus): boolean {
  return a.stages.every(
    ({ layerStart, layerEnd }, i) =>
      b.stages[i]?.layerStart === layerStart &&
      b.stages[i].layerEnd === layerEnd,
  );
}

function ms(value: number | null): string {
  return value === null ? "? ms" : `${value.toFixed(1)} ms`;
}

function percent(fraction: number | null): string {
  return fraction === null ? "?" : `${Math.round(100 * fraction)} %`;
}
