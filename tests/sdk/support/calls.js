/** The calls of a FakeServer, as the contract has them: who rings, whether it stands, and which signals are late. */

export class FakeCalls {
  ringMs = 45_000;
  /** Whether there is a TURN server. */
  relays = true;
  /** The call of each conversation. */
  live = new Map();
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

  hear(session, event, data) {
    if (!session.partner) return this.#refuse(session, "no-conversation", event, data.call);
    if (event === "call:report") return undefined;
    if (event === "call:ring") return this.#ring(session, data);
    if (event === "call:join" && !this.live.has(session.conversation) && !this.#ended.has(data.call)) this.#recreate(session, data);
    const call = this.live.get(session.conversation);
    if (call?.id !== data.call) return this.#ended.has(data.call) ? undefined : this.#refuse(session, "call-unknown", event, data.call);
    return this[event](session, data, call);
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

  "call:join"(session, { fresh, generation = 0, relay }, call) {
    call.relay ||= relay === true;
    call.generation = Math.max(call.generation, generation);
    if (!fresh) return;
    call.generation += 1;
    call.offers.clear();
    for (const one of [session, session.partner]) this.#server.tell(one, "call:join", { call: call.id, generation: call.generation });
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

  #recreate(session, { call: id, type: kind, relay = false, generation = 0 }) {
    this.live.set(session.conversation, { id, kind, by: session.user.username, relay, accepted: true, generation, offers: new Map() });
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
