/**
 * Why does a node not connect, why is it not ready, why is it slow? The doctor makes real checks as a guest (it does not join and leaves
 * only a DHT record that expires after a minute) and names one cause and what to do next. Each check is a file; judging their findings is a
 * pure function over a table of causes.
 *
 *     const { healthy, cause, findings } = await runDoctor(options, { events, paths, signal });
 *     console.log(cause?.what, cause?.next);
 */
export { type DoctorReport, runDoctor } from "./doctor.ts";
