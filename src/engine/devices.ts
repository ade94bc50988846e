/** What each library finds to compute on: the question to an engine's process of its own. */
import { Op } from "./channel.ts";
import { EngineProcess } from "./engine-process.ts";
import type { Backend } from "./libraries.ts";
import type { DeviceList } from "./native-devices.ts";

/** A driver may compile or wake a card first. One that takes longer hangs. */
const DEVICES_TIMEOUT_MS = 30_000;

/**
 * Loads the backend's library in a process of its own, because a bad driver may kill it. Throws ENGINE_UNAVAILABLE or GPU_UNAVAILABLE if
 * there is no such library, ENGINE_DIED or DEADLINE if it does not survive.
 */
export async function listDevices(
  backend: Backend,
  timeoutMs = DEVICES_TIMEOUT_MS,
): Promise<DeviceList> {
  await using child = new EngineProcess();
  return await child.requestJson<DeviceList>(
    Op.Devices,
    { backend },
    { timeoutMs },
  );
}
