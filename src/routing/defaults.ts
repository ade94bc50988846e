/** What is assumed where nothing was measured, and what no claim can undercut: others may claim anything. */
export const ROUTING = Object.freeze({
  /** From a stage's result to the next stage's decode, without the link's own time (measured between engines on one machine). */
  hopMs: 0.6,
  /** The same between two shards of one node: nothing goes over a network. */
  sameNodeMs: 0.1,
  /** The round trip of a link about which nothing is known: more than any local network, as between two cities. */
  unknownRoundTripMs: 40,
  /** No two machines are nearer. */
  leastRoundTripMs: 0.1,
  /** Longer ones are none: a silent peer is given up before. */
  mostRoundTripMs: 10_000,
  /** Compute of a layer, where nobody has computed yet. */
  unknownMsPerLayer: 1,
  /** No processor computes a layer faster. */
  leastMsPerLayer: 0.01,
  mostMsPerToken: 60_000,
  /** More sessions in a queue than this are claims. */
  mostWaiting: 1_024,
  /** A holder without room costs more than any other route. */
  fullMs: 1e9,
  /** Links that one member is known by, its own claims first: they bound the work. */
  linksPerMember: 32,
  /** Nearest members over which unmeasured links are estimated: over a near one the estimate is good. */
  linksAround: 6,
  /** First stages that are tried; each with all ways behind it. */
  firstStages: 24,
});

/** More stages than any model has layers would be a mistake. */
export const MAX_STAGES = 256;
