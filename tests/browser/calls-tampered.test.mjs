/** A partner in a relayed call whose client says whatever it likes: none of it but a relay's address comes to the other's page. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { chromium } from "./support/browsers.mjs";
import { Caller } from "./support/calls.mjs";
import { startServer } from "./support/server.mjs";
import { Stranger, offerOf } from "./support/stranger.mjs";
import { ROOM_TO_WRITE } from "./support/talk.mjs";
import { startTurn } from "./support/turn.mjs";

const RELAY = "127.0.0.2";
/** Where the partner would have the other connect to, and what must not be told. */
const AWAY = "198.51.100.7";
const NAME = "5d1c7a40-3c1e-4b6e-9f0a-2f6f7f4f2d11.local";
const HEARD_WITHIN_MS = 10_000;

const HOST = `1 1 udp 2130706431 ${AWAY} 5000 typ host`;
const OURS = `2 1 udp 41885439 ${RELAY} 5000 typ relay raddr 0.0.0.0 rport 0`;
/** What comes after `candidate:`. */
const KINDS = {
  "host": HOST,
  "a name of mDNS": `1 1 udp 2130706431 ${NAME} 5000 typ host`,
  "TCP": `1 1 tcp 1518280447 ${AWAY} 9 typ host tcptype active`,
  "srflx": `1 1 udp 1677729535 ${AWAY} 5000 typ srflx raddr 198.51.100.8 rport 5001`,
  "prflx": `1 1 udp 1677729535 ${AWAY} 5000 typ prflx raddr 198.51.100.8 rport 5001`,
  "of no known kind": `1 1 udp 1677729535 ${AWAY} 5000 typ other`,
  "in capitals": HOST.toUpperCase(),
  "two spaces": HOST.replaceAll(" ", "  "),
  "tabs": HOST.replaceAll(" ", "\t"),
  "no-break spaces": HOST.replaceAll(" ", "\u{a0}"),
  "a no-break space before it": `\u{a0}${HOST}`,
  "a space before it": ` ${HOST}`,
  "a no-break space within a word": `1\u{a0}${HOST} ${OURS}`,
  "two kinds": `${HOST} typ relay`,
  "two kinds, the other first": `1 1 udp 1 ${AWAY} 5000 typ relay typ host`,
  "a relay that is none": `1 1 udp 1 ${AWAY} 5000 typ relay raddr 0.0.0.0 rport 0`,
  "a relay with a name": `1 1 udp 1 ${NAME} 5000 typ relay raddr 0.0.0.0 rport 0`,
  "a relay, in capitals": `1 1 UDP 1 ${AWAY} 5000 TYP RELAY`,
  "the relay, with where it is really": `2 1 udp 41885439 ${RELAY} 5000 typ relay raddr ${AWAY} rport 5000`,
  "the relay, with more": `2 1 udp 41885439 ${RELAY} 5000 typ relay raddr 0.0.0.0 rport 0 network-id 1 x ${AWAY}`,
  "another line behind the relay": `${OURS}\r\na=candidate:${HOST}`,
  "half a line behind the relay": `${OURS}\ra=candidate:${HOST}`,
  "a line of another alphabet behind the relay": `${OURS}\u{2028}a=candidate:${HOST}`,
};
/** Lines of a description that some reader may take for more than they are. */
const LINES = [
  ...["CANDIDATE:", "Candidate:", " candidate:", "\u{a0}candidate:", "\tcandidate:", "\u{feff}candidate:", "candidate :", "candidate\u{a0}:"].map((name) => `a=${name}${HOST}`),
  `A=candidate:${HOST}`,
  ` a=candidate:${HOST}`,
  `a=x\na=candidate:${HOST}`,
  `a=x\ra=candidate:${HOST}`,
  `a=remote-candidates:1 ${AWAY} 5000`,
  `a=rtcp:5000 IN IP4 ${AWAY}`,
  `a=RTCP:5000 IN IP4 ${AWAY}`,
  `a= rtcp:5000 IN IP4 ${AWAY}`,
  `c=IN IP4 ${AWAY}`,
  `C=IN IP4 ${AWAY}`,
];

/** All texts in what a page heard, however deep. @param {unknown} value @returns {string[]} */
function texts(value) {
  if (typeof value === "string") return [value];
  return value && typeof value === "object" ? Object.values(value).flatMap(texts) : [];
}

test("a tampered partner in a relayed call", async (t) => {
  const turn = await startTurn(t, { host: RELAY });
  const server = await startServer(t, { ...turn.settings, ...ROOM_TO_WRITE });
  const browser = await chromium(t);
  const ann = await Caller.arrive(browser, server.url);
  const mallory = await Stranger.arrive(t, server.url);
  const sdp = await offerOf(browser);
  await ann.person.clicks("find");
  await ann.person.sees("cancel");
  mallory.says("user:match");
  await ann.person.sees("partner");
  const call = { call: "c-1" };
  mallory.says("call:ring", { ...call, type: "video" });
  await ann.sees("ringing-in");
  await ann.person.clicks("call-accept");
  assert.equal((await mallory.mail.next("call:accept")).relay, true);

  const offers = (id, more = "") => mallory.says("webrtc:offer", { ...call, id, type: "video", offer: { type: "offer", sdp: sdp + more } });

  // In descriptions. One that she takes comes last, so that all before were looked at.
  const lines = [...Object.values(KINDS).map((kind) => `a=candidate:${kind}`), ...LINES];
  for (const [index, line] of lines.entries()) offers(`o-${index}`, `${line}\r\n`);
  offers("whole");
  await mallory.mail.next("webrtc:answer", ({ id }) => id === "whole");

  // Alone.
  for (const kind of Object.values(KINDS)) {
    for (const candidate of [`candidate:${kind}`, `a=candidate:${kind}`, `CANDIDATE:${kind}`, ` candidate:${kind}`]) {
      mallory.says("webrtc:candidates", { ...call, id: "whole", candidates: [{ candidate, sdpMid: "0", sdpMLineIndex: 0 }] });
    }
  }
  mallory.says("webrtc:candidates", { ...call, id: "whole", candidates: [{ candidate: `candidate:${OURS}`, sdpMid: "0", sdpMLineIndex: 0 }], end: true });
  mallory.writes("That was all.");
  await ann.person.seesMessage("That was all.", { mine: false });
  await ann.page.waitForFunction(() => window.spied.read().connections.some(({ remotes }) => remotes.length > 0), { polling: 50, timeout: HEARD_WITHIN_MS });

  const heard = await ann.page.evaluate(() => window.spied.heard);
  const wire = heard.filter(({ what }) => what === "wire").map(({ text }) => JSON.parse(text));
  const came = (event) => wire.filter((frame) => frame.event === event).length;
  const codes = mallory.mail.told("error").map(({ code }) => code);
  t.diagnostic(`of ${lines.length} descriptions ${came("webrtc:offer") - 1} came, of ${4 * Object.keys(KINDS).length} candidates ${came("webrtc:candidates") - 1}; ${codes.length} were refused`);
  assert.deepEqual([...new Set(codes)].sort(), ["candidate-invalid", "candidate-refused", "sdp-invalid"]);
  assert.ok(came("webrtc:offer") > lines.length / 2, "Most descriptions were refused as a whole: this tested little.");

  // In any case, and with any spaces.
  const told = [...wire.flatMap(texts), ...heard.filter(({ what }) => what !== "wire").map(({ text }) => text)];
  for (const line of told.flatMap((text) => text.split(/[\r\n\u2028]/u)).map((text) => text.toLowerCase())) {
    assert.doesNotMatch(line, /198\.51\.100|\.local\b/u);
    if (/candidate\s*:/u.test(line)) assert.match(line, /^(?:a=)?candidate:2 1 udp 41885439 127\.0\.0\.2 5000 typ relay raddr 0\.0\.0\.0 rport 0$/u);
  }
  const { connections } = await ann.counts();
  assert.deepEqual(connections.map(({ policy, remotes }) => ({ policy, remotes })), [{ policy: "relay", remotes: [`relay ${RELAY}`] }]);
  assert.deepEqual(ann.person.complaints, []);
});
