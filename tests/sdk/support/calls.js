/** The calls of a FakeServer, as the contract has them: who rings, whether it stands, and which signals are late. */

export class FakeCalls {
  ringMs = 45_000;
  /** Whether there is a TURN server. */
  relays = true;
  /** The call of each conversation. */
  live = new Map();
  /** Calls of lost nodes that one side says it is in, and the other has not yet; of each conversation. */
  #claims = new Map();
  /** Whether a node was lost. */
  #lost = false;
  #ended = new Set();
  #server;

  constructor(server) {
    this.#server = server;
  }

  /** The call as a session is told of it. */
  standing(session) {
    const call = this.live.get(session.conversation);
    if (!call) return undefined;
    const { id, kind, by, relay, accepted, generation } = call;
    return { call: id, type: kind, mine: by === session.user.username, accepted, relay, generation };
  }

  /** The conversation of a session is over. */
  part(session) {
    this.live.delete(session.conversation);
  }

  /** The node of all of them is lost. */
  lose() {
    this.live.clear();
    this.#claims.clear();
    this.#lost = true;
  }

  hear(session, event, data) {
    const { conversation, partner } = session;
    if (!partner) return this.#refuse(session, "no-conversation", event, data.call);
    if (event === "call:report") return undefined;
    if (event === "call:ring") return this.#ring(session, data);
    const claimed = this.#claims.get(conversation);
    if (this.#lost && !this.live.has(conversation)) {
      if (event === "call:join") return this.#claim(session, data);
      if (event === "call:end") {
        this.#ended.add(data.call);
        if (claimed?.data.call === data.call && claimed.session === partner) this.#server.tell(partner, "call:ended", { call: data.call, reason: "hung-up" });
        return undefined;
      }
    }
    const call = this.live.get(conversation);
    if (call?.id === data.call) return this[event](session, data, call);
    const late = this.#ended.has(data.call) || claimed?.data.call === data.call;
    return late ? undefined : this.#refuse(session, "call-unknown", event, data.call);
  }

  "call:accept"(session, data, call) {
    if (!call.accepted) this.#accept(session, call, data.relay);
  }

  "call:decline"(session, { reason = "declined" }, call) {
    this.#end(session, call, reason);
  }

  "call:end"(session, { reason = "hung-up" }, call) {
    this.#end(session, call, call.accepted ? reason : "cancelled");
  }

  "call:join"(session, { fresh, relay }, call) {
    if (!call.accepted) return this.#refuse(session, "call-unknown", "call:join", call.id);
    const before = call.relay;
    call.relay ||= relay === true;
    if (fresh) {
      call.generation += 1;
      call.offers.clear();
    }
    if (fresh || call.relay !== before) this.#joined(session, call);
  }

  "webrtc:offer"(session, data, call) {
    if ((data.generation ?? 0) !== call.generation) return;
    for (const offer of call.offers.values()) if (offer.by === session.user.username) offer.replaced = true;
    call.offers.set(data.id, { by: session.user.username, answered: false, replaced: false, candidates: {} });
    this.#server.tell(session.partner, "webrtc:offer", data);
  }

  "webrtc:answer"(session, data, call) {
    const offer = call.offers.get(data.id);
    if (!offer || offer.by === session.user.username) return this.#refuse(session, "offer-unknown", "webrtc:answer", call.id);
    if (offer.answered || offer.replaced) return;
    offer.answered = true;
    this.#server.tell(session.partner, "webrtc:answer", data);
  }

  "webrtc:candidates"(session, data, call) {
    const offer = call.offers.get(data.id);
    if (!offer) return this.#refuse(session, "offer-unknown", "webrtc:candidates", call.id);
    if (offer.replaced) return;
    const count = (offer.candidates[session.user.username] ?? 0) + data.candidates.length;
    offer.candidates[session.user.username] = count;
    if (count > 50) return this.#refuse(session, "candidate-limit", "webrtc:candidates", call.id);
    this.#server.tell(session.partner, "webrtc:candidates", data);
  }

  #ring(session, { call: id, type: kind, relay = false }) {
    const { partner, conversation } = session;
    if (relay && !this.relays) return this.#refuse(session, "relay-unavailable", "call:ring", id);
    if (!partner.calls) return this.#refuse(session, "call-unsupported", "call:ring", id);
    const standing = this.live.get(conversation);
    if (standing && standing.by !== session.user.username && !standing.accepted) {
      this.#ended.add(id);
      return this.#accept(session, standing, relay, id);
    }
    if (standing?.id === id && !standing.accepted) return;
    if (standing) return this.#refuse(session, "call-exists", "call:ring", id);
    this.#claims.delete(conversation);
    const call = { id, kind, by: session.user.username, relay, accepted: false, generation: 0, offers: new Map() };
    this.live.set(conversation, call);
    this.#server.tell(partner, "call:ring", { call: id, type: kind, relay, ringMs: this.ringMs });
    setTimeout(() => {
      if (this.live.get(conversation) !== call || call.accepted) return;
      this.live.delete(conversation);
      this.#ended.add(id);
      for (const one of [session, partner]) this.#server.tell(one, "call:ended", { call: id, reason: "no-answer" });
    }, this.ringMs).unref?.();
  }

  #accept(session, call, relay = false, instead = undefined) {
    call.accepted = true;
    call.relay ||= relay;
    this.#server.tell(session.partner, "call:accept", { call: call.id, relay: call.relay });
    this.#server.tell(session, "call:accept", { call: call.id, relay: call.relay, instead });
  }

  /** One who says to be in a call is believed once the other says so, too. */
  #claim(session, data) {
    const { conversation, partner } = session;
    if (this.#ended.has(data.call)) return this.#server.tell(session, "call:ended", { call: data.call, reason: "hung-up" });
    const theirs = this.#claims.get(conversation);
    if (theirs?.session !== partner || theirs.data.call !== data.call) return void this.#claims.set(conversation, { session, data });
    this.#claims.delete(conversation);
    const generation = Math.max(data.generation ?? 0, theirs.data.generation ?? 0);
    const relay = Boolean(data.relay || theirs.data.relay);
    const call = { id: data.call, kind: data.type, by: partner.user.username, relay, accepted: true, generation, offers: new Map() };
    this.live.set(conversation, call);
    this.#joined(session, call);
  }

  #joined(session, { id: call, generation, relay }) {
    for (const one of [session, session.partner]) this.#server.tell(one, "call:join", { call, generation, relay });
  }

  #end(session, call, reason) {
    this.live.delete(session.conversation);
    this.#ended.add(call.id);
    this.#server.tell(session.partner, "call:ended", { call: call.id, reason });
  }

  #refuse(session, code, event, id) {
    this.#server.tell(session, "error", { code, message: code, event, id });
  }
}
