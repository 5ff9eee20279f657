/** What so many people need, from what was measured: the last table of docs/scaling.md. `node benches/nodes/model.mjs` */

/** Assumed of people. Change these to yours. */
const ASSUMED = {
  talkSeconds: 300, // a conversation; everyone who is online is in one, or about to be
  sessionSeconds: 1_200,
  saidEachSecond: 0.1, // messages of a person
  messageBytes: 800, // of one message on both clients' lines, with its receipt, acknowledgements and headers
  beginMs: 2, // processor of a session's begin: TLS, the token
  nodeCores: 8,
  nodeSessions: 100_000, // limits.max_sessions
  busy: 0.5, // of processors, so that nodes may fail
  lobbyBusy: 0.7,
  recordBytes: 1_024, // what Redis keeps of a session
};
/** Measured: docs/benchmarks.md. */
const MEASURED = {
  sessionKiB: 93, // by WebTransport, at the most; by WebSocket 33
  idleMs: 1.6, // processor of an idle session in a minute, its client included
  idleBytes: 1_991, // on the wire in a minute
  messageMs: 0.082, // processor of the nodes, the two people on different ones
  matchMs: 0.6,
  searches: 13_000, // a second, in one lobby
  beginRedisUs: 72,
  endRedisUs: 26,
  writtenRedisUs: 209, // records and whereabouts, by a match across nodes and its end: all but its two searches
  beatRedisUs: 205, // beside two other nodes
};
/** What each further node adds to a heartbeat: its card is read. */
const CARD_US = 3;

const a = ASSUMED;
const m = MEASURED;
const number = (value) => (value < 10 ? value.toFixed(1) : Math.round(value).toString().replace(/\B(?=(\d{3})+$)/gu, " "));
const rows = {};
const put = (name, value, unit = "") => (rows[name] ??= []).push(`${number(value)}${unit}`);
for (const people of [1e6, 10e6]) {
  const matches = people / 2 / a.talkSeconds;
  const begins = people / a.sessionSeconds;
  const messages = people * a.saidEachSecond;
  put("matches a second", matches);
  put("sessions begun a second", begins);
  put("messages a second", messages);
  const idle = (people * m.idleMs) / 60 / 1000;
  const talk = (messages * m.messageMs) / 1000;
  const match = (matches * m.matchMs) / 1000;
  const begin = (begins * a.beginMs) / 1000;
  put("cores: idle sessions", idle);
  put("cores: messages", talk);
  put("cores: matches", match);
  put("cores: sessions begun", begin);
  const nodes = Math.max(Math.ceil((idle + talk + match + begin) / a.busy / a.nodeCores), Math.ceil(people / a.nodeSessions)) + 1;
  put(`nodes of ${a.nodeCores} cores, one of them to spare`, nodes);
  put("sessions on a node", people / nodes);
  put("memory of a node", (people / nodes) * m.sessionKiB / 1024 / 1024, " GiB");
  put("network of a node, all clients", ((people * m.idleBytes) / 60 + messages * a.messageBytes) * 8 / nodes / 1e6, " Mbit/s");
  put("links carried from one node to another", (people / 2) * (1 - 1 / nodes) / (nodes * (nodes - 1)));
  put("lobbies", Math.ceil((2 * matches) / (m.searches * a.lobbyBusy)));
  put("of one lobby's most", (2 * matches) / m.searches * 100, " %");
  put("Redis, heartbeats: of one core", (nodes * (m.beatRedisUs + CARD_US * (nodes - 3))) / 1e4, " %");
  const written = (begins * (m.beginRedisUs + m.endRedisUs) + matches * m.writtenRedisUs) / 1e4;
  put("Redis, sessions and records: of one core", written, " %");
  put("Redis, its memory", (people * a.recordBytes) / 2 ** 30, " GiB");
}
console.log("| | 1 million online | 10 million online |\n|---|---|---|");
for (const [name, values] of Object.entries(rows)) console.log(`| ${name} | ${values.join(" | ")} |`);
console.log(`\nOne lobby is full at ${number((m.searches / 2) * 2 * a.talkSeconds / 1e6)} million people, and at ${number(a.lobbyBusy * (m.searches / 2) * 2 * a.talkSeconds / 1e6)} million with room to spare.`);
