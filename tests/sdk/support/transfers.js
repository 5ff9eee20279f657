/** The transfers of a FakeServer, as the contract has them: stores nothing but one window of each. */

import { createHash } from "node:crypto";
import { decodeChunk, encodeChunk } from "../../../web-demo/sdk/link/chunk.js";

const PIECE = 16 * 1024;

export class FakeTransfers {
  limits = { fileBytes: 10 * 1024 * 1024, voiceMs: 120_000, transfers: 4, transferWindow: 192 * 1024 };
  /** Every transfer that goes on, by its id. */
  live = new Map();
  /** The most bytes any sender had on their way. */
  most = 0;
  /** The streams that a client reset or stopped: { user, id, code }. */
  resets = [];
  #server;
  #refused = new Set();

  constructor(server) {
    this.#server = server;
  }

  /** One of the sides called it off, or it is over for another reason; `mute` is not told. */
  cancel(transfer, code, mute) {
    if (!this.live.delete(transfer.id)) return;
    for (const one of [transfer.from, transfer.to]) {
      if (one !== mute) this.#server.tell(one, "file:cancel", { transfer: transfer.id, code, message: code });
    }
  }

  /** The conversation of a session is over. */
  part(session) {
    for (const transfer of this.live.values()) {
      if (transfer.from === session || transfer.to === session) this.live.delete(transfer.id);
    }
  }

  hear(session, event, data) {
    if (event === "file:offer") return this.#offer(session, data);
    const transfer = this.live.get(data.transfer);
    const side = event === "file:complete" ? ["from"] : event === "file:cancel" ? ["from", "to"] : ["to"];
    if (!transfer || !side.some((name) => transfer[name] === session)) return this.#refuse(session, "transfer-unknown", event, data.transfer);
    if (event === "file:accept") {
      transfer.state = "moving";
      this.#server.tell(transfer.from, "file:accept", { transfer: transfer.id });
    } else if (event === "file:reject") {
      this.live.delete(transfer.id);
      this.#server.tell(transfer.from, "file:reject", { transfer: transfer.id });
    } else if (event === "file:cancel") {
      this.cancel(transfer, "cancelled", session);
    } else if (event === "file:complete") {
      transfer.whole = data;
      this.#move(transfer);
    } else {
      this.#acknowledge(transfer, data.received);
      this.#move(transfer);
    }
  }

  /** A client sent a binary message. */
  message(session, message) {
    const { id, offset, bytes } = decodeChunk(new Uint8Array(message));
    if (message.length > 65536) throw new Error("a chunk that is too large");
    this.bytes(session, id, offset, bytes);
  }

  bytes(session, id, offset, bytes) {
    const transfer = this.live.get(id);
    if (transfer?.from !== session || transfer.state !== "moving") {
      if (this.#refused.has(id)) return;
      this.#refused.add(id);
      return this.#refuse(session, "transfer-over", "file:chunk", id);
    }
    if (offset > transfer.received) return this.cancel(transfer, "offset-mismatch");
    const fresh = bytes.subarray(Math.max(0, transfer.received - offset));
    const end = transfer.received + fresh.length;
    this.most = Math.max(this.most, end - transfer.acked);
    if (end > transfer.acked + this.limits.transferWindow) return this.cancel(transfer, "credit-exceeded");
    if (end > transfer.size) return this.cancel(transfer, "size-mismatch");
    transfer.kept = Buffer.concat([transfer.kept, fresh]);
    transfer.received = end;
    transfer.hash.update(fresh);
    this.#move(transfer);
  }

  /** A sender ended its stream. */
  fin(session, id) {
    const transfer = this.live.get(id);
    if (transfer?.from === session && transfer.received < transfer.size) this.cancel(transfer, "size-mismatch");
  }

  /** A session is on another link: what is named goes on; answers the places of what it sends. */
  resume(session, named) {
    const places = [];
    for (const transfer of [...this.live.values()]) {
      if (transfer.from !== session && transfer.to !== session) continue;
      const name = named?.find((one) => one.transfer === transfer.id);
      const needed = !named || transfer.from === session || transfer.state === "moving";
      if (!name && needed) {
        this.cancel(transfer, "lost");
      } else if (transfer.state === "moving" && transfer.from === session) {
        places.push({ transfer: transfer.id, received: transfer.received, acknowledged: transfer.acked });
      } else if (transfer.state === "moving") {
        // What it acknowledged on the link before, after its hello, is gone.
        transfer.sent = Math.max(transfer.acked, name.received ?? 0);
        this.#acknowledge(transfer, transfer.sent);
      }
    }
    return places;
  }

  /** A session's new link is there. */
  resumed(session) {
    for (const transfer of this.live.values()) if (transfer.to === session) this.#move(transfer);
  }

  #offer(session, data) {
    const { transfer: id, size } = data;
    if (!session.partner) return this.#refuse(session, "no-conversation", "file:offer", id);
    const out = [...this.live.values()].filter(({ from }) => from === session);
    if (out.length >= this.limits.transfers) return this.#refuse(session, "transfer-limit", "file:offer", id);
    this.live.set(id, {
      id, size, from: session, to: session.partner, state: "offered", received: 0, acked: 0, sent: 0,
      kept: Buffer.alloc(0), hash: createHash("sha256"), whole: null, told: false,
    });
    const offer = { ...data, from: session.user.id, link: `/api/files/${id}`, timestamp: 1 };
    this.#server.tell(session.partner, "file:offer", offer);
  }

  #acknowledge(transfer, received) {
    if (received > transfer.sent) throw new Error("acknowledged what was never sent");
    if (received <= transfer.acked) return;
    transfer.kept = transfer.kept.subarray(received - transfer.acked);
    transfer.acked = received;
    if (transfer.from.socket) this.#server.raw(transfer.from, { event: "file:progress", data: { transfer: transfer.id, received } });
  }

  /** Passes on what is here. */
  #move(transfer) {
    const { id, to, kept, acked, whole } = transfer;
    while (to.socket && transfer.sent < transfer.received) {
      const bytes = kept.subarray(transfer.sent - acked, transfer.sent - acked + PIECE);
      if (to.socket.sendBytes) to.socket.sendBytes(id, transfer.sent, bytes);
      else to.socket.send(encodeChunk(id, transfer.sent, bytes));
      transfer.sent += bytes.length;
    }
    if (!whole || transfer.received < whole.size) return;
    if (!transfer.told) {
      const sha256 = transfer.hash.digest("hex");
      if (sha256 !== whole.sha256) return this.cancel(transfer, "hash-mismatch");
      transfer.told = true;
      this.#server.tell(to, "file:complete", { transfer: id, size: whole.size, sha256 });
    }
    if (transfer.sent === whole.size) to.socket?.endBytes?.(id);
    if (transfer.acked < whole.size) return;
    this.live.delete(id);
    this.#server.tell(transfer.from, "file:complete", { transfer: id, size: whole.size, sha256: whole.sha256 });
  }

  #refuse(session, code, event, id) {
    this.#server.tell(session, "error", { code, message: code, event, id });
  }
}
