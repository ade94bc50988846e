/**
 * Every timeout and limit of the network in one place. They depend on each other:
 *
 *     QUIC handshake 2 s  <  one address 3 s  <  a whole dial 10 s
 *     QUIC keep-alive 1 s <  QUIC idle 2.75 s <  heartbeat 6.5 s  <  write deadline 10 s
 *
 * so that one dead address never uses up the dial, and a dead peer is noticed by its connection before the streams on it run into their own
 * deadlines.
 */
const KiB = 1024;
const MiB = 1024 * KiB;

export const DEFAULTS = Object.freeze({
  /** UDP and TCP port of Shoal. */
  port: 51820,

  // QUIC
  /** A QUIC handshake takes 1 to 2 round trips, and even slow links answer within 1 s. Longer means that UDP is filtered. */
  quicHandshakeMs: 2_000,
  /**
   * A killed peer is noticed after this time, or one keep-alive later (sending one restarts the timer once: RFC 9000, 10.1), so after 3.75
   * s at most. Native threads send keep-alives, so a busy event loop loses nothing.
   */
  quicIdleMs: 2_750,
  /** Two fit into the idle time, and QUIC's own probes repeat a lost one within a few round trips. */
  quicKeepAliveMs: 1_000,
  /** Streams that the remote may have open. A request takes one, so this bounds a peer's parallel requests. */
  quicStreams: 1_024,
  /** Unread bytes of one stream: 80 MB/s at 50 ms of round trip. */
  quicStreamWindowBytes: 4 * MiB,
  /** Unread bytes of a connection: eight stalled readers do not stop the ninth stream. */
  quicConnectionWindowBytes: 32 * MiB,
  /** The system's usual limit for UDP buffers (net.core.rmem_max) is below this; more is clamped. */
  quicSocketBufferBytes: 500_000,
  /** 4 KiB reads give 30 to 80 MB/s, 64 KiB 156 to 192; 256 KiB gain nothing. */
  quicReadBytes: 64 * KiB,
  /** One native write; larger ones wait longer for the lock that a reset needs. */
  quicWriteBytes: 256 * KiB,
  /** Handshakes awaited at once. The binding awaits each to its end, so a silent client occupies one. */
  quicAccepts: 16,

  // TCP
  /**
   * A yamux stream begins with 256 KiB (the specification's: another value breaks foreign peers) and doubles up to this. It must stay below
   * `readBufferBytes`, because a paused reader still receives what the window allows.
   */
  yamuxMaxWindowBytes: 4 * MiB,
  /** libp2p aborts a stream whose unread bytes exceed this. */
  readBufferBytes: 8 * MiB,

  /**
   * Frames queued for a peer that does not read. Data waits at its stream. Only answers to pings, opened streams and received data queue
   * here, at most a few for each frame that the windows let in.
   */
  yamuxQueuedFrames: 16_384,
  /** Pings of one connection at once, and per second after that. Muxers ping every half minute. */
  yamuxPingBurst: 100,
  yamuxPingsPerSecond: 10,
  /** Data for closed streams: what was in flight when we closed them, one window each. Eight at once, then one every four seconds. */
  yamuxLateBurstBytes: 32 * MiB,
  yamuxLateBytesPerSecond: 1 * MiB,

  // dialing
  /** One address: TCP, TLS and yamux take 4 round trips. */
  addressDialMs: 3_000,
  /** All addresses of a peer. */
  dialMs: 10_000,
  /** Delay between two addresses of one transport, as in RFC 8305. */
  dialStaggerMs: 250,
  /** TCP waits this long for QUIC, which needs 15 to 30 ms on a LAN and a few hundred around the world. */
  tcpHeadStartMs: 1_000,
  /** A relay waits for direct ways, but not for each of a dozen silent addresses. */
  relayHeadStartMs: 1_500,
  /** Addresses tried for one peer; an announcement may name any number. */
  dialAddresses: 24,

  // connections
  /** libp2p's default of 5 a second per IP would refuse a cluster behind one address when its rendezvous restarts. */
  inboundPerSecond: 1_000,
  /** libp2p closes the least valued connections above this; its default of 300 would drop members of a larger cluster. */
  maxConnections: 2_000,
  /** Handshakes in progress; libp2p's 10 fail when 20 nodes start together. */
  pendingInbound: 200,
  /**
   * Provider records live 48 h and are swept every hour. Addresses must outlive them: kad-dht (16.4.5) gives no answer for a key if it no
   * longer knows one of its providers.
   */
  addressAgeMs: 72 * 3_600_000,

  /** A host that stops closes its connections in order for this long. libp2p gives each of them 500 ms, but waits for its sockets for ever. */
  stopMs: 1_000,

  // heartbeat
  heartbeatMs: 2_000,
  /**
   * QUIC's native threads notice a dead peer by themselves. This is for a peer whose threads live but whose event loop does not. Links between
   * holders are measured more often, by `ping` (cluster/times-watch.ts).
   */
  heartbeatQuicMs: 15_000,
  /**
   * A link's time is the least of this long: several samples, since load only adds, and yet a link that became slow is soon known as slow.
   * An older sample counts only if it is the last.
   */
  roundTripAgeMs: 10_000,
  /**
   * A TCP peer that echoes nothing for this long is gone, which is noticed within 8.5 s. QUIC needs no such rule, because it has its own
   * idle timeout.
   */
  heartbeatSilenceMs: 6_500,
  /** While a peer has several connections, each is measured so often: one may die alone, as when a NAT forgets its port. */
  heartbeatBesideMs: 1_000,
  /**
   * A connection that has echoed nothing for this long, or four round trips if that is longer, while another to the same peer did, gets no new
   * stream.
   */
  doubtMs: 500,
  /**
   * … and for this long, it is dead, because the peer's event loop lives. TCP has more patience, because its echoes wait behind what is sent
   * before them.
   */
  silenceBesideMs: 2_500,
  /** The other's echo is as old: a peer's own stall ends with echoes on all its connections, not all at the same moment. */
  aliveBesideMs: 1_000,

  // frame streams
  /** Negotiation of a protocol on an open connection: 2 round trips. */
  openStreamMs: 5_000,
  /** Frames up to this size are sent as one buffer: one native write, one TLS record chain. */
  coalesceBytes: 64 * KiB,
  /** Above this many queued bytes `send` asks its caller to wait. */
  sendHighWaterBytes: 1 * MiB,
  /** Received and not yet handled bytes; above this the stream stops reading. */
  receiveHighWaterBytes: 1 * MiB,
  /** If no byte of the queue leaves for this long, the reader is gone. */
  writeDeadlineMs: 10_000,
  /** After a graceful close, how long the remote may take to close its side. */
  lingerMs: 2_000,
  streamsPerPeer: 64,

  // relays
  /** To get a place at a relay, and to be connected with a peer there: two round trips each. */
  relayHopMs: 5_000,
  /** Circuits on one connection: a node's neighbours, gateways and gossip. */
  relayStreams: 256,
  /** What the other end has not taken yet; above this the relay reads no more. */
  relayQueuedBytes: 256 * KiB,

  // requests
  requestBytes: 1 * MiB,
  replyBytes: 4 * MiB,
  /** From the first byte of a stream to the whole request. */
  requestReadMs: 10_000,
  requestMs: 15_000,
  /** Requests of one peer in progress. */
  requestsPerPeer: 512,

  // commands
  /** Commands a peer may send at once after a pause, and per second after that. */
  commandBurst: 1_000,
  commandsPerSecond: 200,
});

export const DHT_DEFAULTS = Object.freeze({
  /** A search takes three or four round trips; a dead peer on the way costs up to 5 s. */
  timeoutMs: 10_000,
  /** The share for finding the closest peers; the rest is for storing. */
  searchShare: 0.6,
  /** One peer: at least its QUIC handshake and a round trip. */
  messageMinMs: 3_000,
  messageMaxMs: 10_000,
  /** A new connection becomes usable for questions within this time: identify, then an echo. */
  tableGraceMs: 3_000,
  /** Peers asked at once, as in kad-dht. */
  concurrency: 10,
  /** Providers kept from a search. */
  providers: 64,
  addressesOfProvider: 16,
  /** Delay before asking a peer whether it noted a provider record. ADD_PROVIDER has no answer. */
  confirmWaitsMs: [0, 25, 100, 400, 1_600],
});
