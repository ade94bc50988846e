/** What option values may look like. Each parser throws an error that says what it expected. */
import {
  decodeInvitation,
  type Invitation,
  parseListen,
  parseTarget,
} from "../network/index.ts";

export function wholeNumber(
  min: number,
  max: number,
): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^-?\d+$/.test(text.trim()) || value < min || value > max)
      throw new Error(`Expected ${min} to ${max}.`);
    return value;
  };
}

export function decimal(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (
      text.trim() === "" ||
      !Number.isFinite(value) ||
      value < min ||
      value > max
    )
      throw new Error(`Expected ${min} to ${max}.`);
    return value;
  };
}

/** "3/8": shard 3 of 8, numbered from 0; "3" alone: of as many as the cluster's plan has. */
export function shardNumber(text: string): { index: number; count?: number } {
  const match = /^(\d{1,5})(?:\/(\d{1,5}))?$/.exec(text.trim());
  if (match === null) throw new Error('Expected "i/n" or "i", such as 0/4.');
  const index = Number(match[1]);
  if (match[2] === undefined) return { index };
  const count = Number(match[2]);
  if (count < 1 || index >= count)
    throw new Error(
      `There is no shard ${index} of ${count}: they are numbered 0 to ${count - 1}.`,
    );
  return { index, count };
}

/** "8-20": layers 8 to 20, both included. */
export function layers(text: string): { layerStart: number; layerEnd: number } {
  const match = /^(\d{1,5})-(\d{1,5})$/.exec(text.trim());
  const [first, last] = [Number(match?.[1]), Number(match?.[2])];
  if (match === null || last < first)
    throw new Error('Expected "first-last", such as 8-20.');
  return { layerStart: first, layerEnd: last + 1 };
}

/** "10GB", "512MiB", "1000000": bytes. */
export function bytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?$/i.exec(text.trim());
  if (match === null) throw new Error('Expected a size, such as "10GB".');
  const power = "kmgt".indexOf((match[2] ?? "").toLowerCase()) + 1;
  const unit = match[2] === "" ? 1 : (match[3] === "" ? 1000 : 1024) ** power;
  return Math.round(Number(match[1]) * unit);
}

/** The same, for what nothing would come of at 0. */
export function someBytes(text: string): number {
  const value = bytes(text);
  if (value === 0) throw new Error("Expected more than 0.");
  return value;
}

/** An HTTP(S) URL; an address without a scheme is one of http. */
export function url(text: string): URL {
  const parsed = URL.parse(text.includes("://") ? text : `http://${text}`);
  if (parsed === null || !/^https?:$/.test(parsed.protocol))
    throw new Error("Expected a URL such as http://127.0.0.1:51822.");
  if (parsed.username !== "" || parsed.password !== "")
    throw new Error("Expected a URL without a user name or password.");
  return parsed;
}

/** Several of them, comma-separated. */
export function urls(text: string): string[] {
  return text.split(",").map((part) => url(part).href);
}

export const port = wholeNumber(0, 65_535);

/** Comma-separated, so that a variable can hold several. */
export function targets(text: string): string[] {
  const given = text.split(",").filter((part) => part.trim() !== "");
  for (const target of given) parseTarget(target);
  return given;
}

/** What `shoal invite` printed. */
export function invitation(text: string): Invitation {
  return decodeInvitation(text);
}

/** Without a port, `defaultPort`; 0 is any free one. */
export function listens(text: string, defaultPort = 0): string[] {
  return text.split(",").flatMap((part) => parseListen(part, defaultPort));
}
