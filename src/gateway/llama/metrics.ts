/** llama-server's metrics in Prometheus' text (tools/server/README.md, GET /metrics), of this gateway's replies. What only the machines that compute know is left out. */
import type { Tally } from "../tally.ts";

export function metricsText(tally: Tally): string {
  const { totals, running } = tally;
  const promptS = totals.promptMs / 1000;
  const predictedS = totals.completionMs / 1000;
  const waiting = running.filter((reply) => {
    const state = reply.session()?.state;
    return state === "queued" || state === "waiting";
  }).length;
  return [
    counter(
      "prompt_tokens_total",
      "Number of prompt tokens processed.",
      totals.promptTokens,
    ),
    counter("prompt_seconds_total", "Prompt process time.", promptS),
    counter(
      "tokens_predicted_total",
      "Number of generation tokens processed.",
      totals.completionTokens,
    ),
    counter(
      "tokens_predicted_seconds_total",
      "Predict process time.",
      predictedS,
    ),
    counter("n_tokens_max", "Largest observed n_tokens.", totals.mostTokens),
    gauge(
      "prompt_tokens_seconds",
      "Average prompt throughput in tokens/s.",
      ratio(totals.promptTokens, promptS),
    ),
    gauge(
      "predicted_tokens_seconds",
      "Average generation throughput in tokens/s.",
      ratio(totals.completionTokens, predictedS),
    ),
    gauge(
      "requests_processing",
      "Number of requests processing.",
      running.length - waiting,
    ),
    gauge("requests_deferred", "Number of requests deferred.", waiting),
  ].join("");
}

const counter = (name: string, help: string, value: number): string =>
  metric(name, "counter", help, value);
const gauge = (name: string, help: string, value: number): string =>
  metric(name, "gauge", help, value);

function metric(
  name: string,
  type: string,
  help: string,
  value: number,
): string {
  const full = `llamacpp:${name}`;
  return `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n${full} ${value}\n`;
}

const ratio = (a: number, b: number): number => (b > 0 ? a / b : 0);
