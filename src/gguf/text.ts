/**
 * GGUF strings as JavaScript strings and back, byte for byte. The format says UTF-8, llama.cpp accepts any bytes: a byte that is not UTF-8
 * becomes a lone surrogate U+DC80 to U+DCFF, which no valid UTF-8 yields (Python's "surrogateescape", PEP 383), so nothing is lost.
 */
import { Buffer, isUtf8 } from "node:buffer";

const ESCAPE = 0xdc00;
// Without the u flag, a surrogate is matched on its own, so only a low one without a high one before it is an escape.
const ESCAPED = /(?<![\uD800-\uDBFF])[\uDC80-\uDCFF]/;

export function decodeText(bytes: Buffer): string {
  const text = bytes.toString("utf8");
  return text.includes("\uFFFD") && !isUtf8(bytes)
    ? decodeEscaped(bytes)
    : text;
}

export function encodeText(text: string): Buffer {
  return ESCAPED.test(text) ? encodeEscaped(text) : Buffer.from(text, "utf8");
}

function decodeEscaped(bytes: Buffer): string {
  let text = "";
  for (let at = 0; at < bytes.length;) {
    let length = sequenceLength(bytes[at] ?? 0);
    if (length > 0 && !isUtf8(bytes.subarray(at, at + length))) length = 0;
    if (length === 0) {
      text += String.fromCharCode(ESCAPE + (bytes[at] ?? 0));
      at++;
    } else {
      text += bytes.toString("utf8", at, at + length);
      at += length;
    }
  }
  return text;
}

function encodeEscaped(text: string): Buffer {
  const parts: Buffer[] = [];
  for (const char of text) {
    const code = char.charCodeAt(0);
    const escaped = char.length === 1 && code >= 0xdc80 && code <= 0xdcff;
    parts.push(escaped ? Buffer.of(code - ESCAPE) : Buffer.from(char, "utf8"));
  }
  return Buffer.concat(parts);
}

/** Bytes of the sequence that `lead` starts; 0 if it cannot start one. */
function sequenceLength(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead < 0xe0) return 2;
  if (lead >= 0xe0 && lead < 0xf0) return 3;
  return lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
}
