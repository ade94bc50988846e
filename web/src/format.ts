/** Numbers with their units; unknown values are a dash. */
export const DASH = "–";

type Maybe = number | null | undefined;

export function isKnown(value: Maybe): value is number {
  return value !== null && value !== undefined && Number.isFinite(value);
}

function digits(value: number): string {
  if (value === 0) return "0";
  if (Math.abs(value) < 10) return value.toFixed(value < 1 ? 2 : 1);
  return Math.round(value).toLocaleString("en");
}

export function count(value: Maybe): string {
  return isKnown(value) ? Math.round(value).toLocaleString("en") : DASH;
}

const BYTES = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

export function bytes(value: Maybe): string {
  if (!isKnown(value)) return DASH;
  let [scaled, unit] = [value, 0];
  while (scaled >= 1024 && unit < BYTES.length - 1) {
    scaled /= 1024;
    unit++;
  }
  const shown =
    unit === 0 ? count(scaled) : scaled.toFixed(scaled < 10 ? 1 : 0);
  return `${shown} ${BYTES[unit] ?? ""}`;
}

export function rate(value: Maybe): string {
  return isKnown(value) ? `${bytes(value)}/s` : DASH;
}

export function ms(value: Maybe): string {
  if (!isKnown(value)) return DASH;
  if (value < 1_000) return `${digits(value)} ms`;
  return seconds(value / 1_000);
}

export function seconds(value: Maybe): string {
  if (!isKnown(value)) return DASH;
  if (value < 60) return `${digits(value)} s`;
  if (value < 3_600) return `${Math.floor(value / 60)} min`;
  if (value < 86_400) return `${(value / 3_600).toFixed(1)} h`;
  return `${(value / 86_400).toFixed(1)} d`;
}

export function perSecond(value: Maybe, unit: string): string {
  return isKnown(value) ? `${digits(value)} ${unit}/s` : DASH;
}

export function percent(part: number, whole: number): string {
  return whole > 0 ? `${Math.floor((100 * part) / whole)} %` : DASH;
}

/** Layers as people count them, both ends included. */
export function layers(range: {
  layerStart: number;
  layerEnd: number;
}): string {
  const last = range.layerEnd - 1;
  if (last < range.layerStart) return DASH;
  return last === range.layerStart ? `${last}` : `${range.layerStart}–${last}`;
}

/** The end of an id distinguishes peers; its beginning is the same for all. */
export function shortPeer(peer: string): string {
  return `…${peer.slice(-8)}`;
}

export function clock(timeMs: number): string {
  return new Date(timeMs).toLocaleTimeString("en-GB", { hour12: false });
}

/** "10.0.0.7:4001" of a multiaddr. */
export function address(multiaddr: string): string {
  const [, , host = "", , port = ""] = multiaddr.split("/");
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
