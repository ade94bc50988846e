/** A stub. */
import { ShoalError, type Clock } from "../lib/index.ts";
import {
  sourceIdOf,
  type OriginSpec,
  type Source,
  type SourceLink,
} from "./source.ts";

export interface OriginOptions {
  stallMs?: number | undefined;
}

export class HttpOrigin implements Source {
  readonly id: string;
  constructor(spec: OriginSpec, _options: OriginOptions & { clock: Clock }) {
    this.id = sourceIdOf(spec);
  }
  async open(): Promise<SourceLink> {
    throw new ShoalError("ORIGIN_FAILED", "not yet");
  }
  close(): void {}
}
