/** Someone who speaks docs/protocol.md by hand over a WebSocket, and so may say what no client of ours says. */

import { WebSocket } from "ws";
import { guest } from "../../socketio/support/people.mjs";
import { Mail } from "../../socketio/support/mail.mjs";

/** Nobody comes back later than this to a session that still waits, or was lost with its node; in milliseconds. */
const BACK_WITHIN_MS = 15_000;
const TRY_EVERY_MS = 250;

export class Stranger {
  mail = new Mail();
  #token;
  /** @type {WebSocket | undefined} */
  #socket;
  /** What the server said of the session. @type {any} */
  #established;
  #said = 0;
  #received = 0;

  /** @param {string} token */
  constructor(token) {
    this.#token = token;
  }

  /**
   * Comes in as a guest who can be called, and goes with the test.
   * @param {import("node:test").TestContext} t
   * @param {string} url
   */
  static async arrive(t, url) {
    const { token } = await guest(url);
    const stranger = new Stranger(token);
    t.after(() => stranger.#socket?.terminate());
    await stranger.#hello(url);
    return stranger;
  }

  /**
   * Goes on with the session at another node, as soon as that takes it.
   * @param {string} url
   * @returns {Promise<any>} what the server says of it
   */
  async comesBack(url) {
    this.#socket?.terminate();
    const { session, key } = this.#established;
    const until = performance.now() + BACK_WITHIN_MS;
    for (;;) {
      try {
        return await this.#hello(url, { session, key, received: this.#received });
      } catch (error) {
        if (performance.now() > until) throw error;
        await new Promise((resolve) => setTimeout(resolve, TRY_EVERY_MS));
      }
    }
  }

  /**
   * Something that is numbered.
   * @param {string} event
   * @param {object} [data]
   */
  says(event, data = {}) {
    this.#said += 1;
    this.#send({ event, data, seq: this.#said, ack: this.#received });
  }

  /**
   * Says something in the talk.
   * @param {string} content
   */
  writes(content) {
    this.says("chat:message", { id: crypto.randomUUID(), type: "text", content });
  }

  /**
   * @param {string} url
   * @param {object} [resume]
   */
  async #hello(url, resume) {
    const socket = new WebSocket(`${url.replace("http", "ws")}/realtime`);
    this.#socket = socket;
    const established = await new Promise((resolve, reject) => {
      socket.on("error", reject);
      socket.on("close", (code) => reject(new Error(`The link was closed with ${code}.`)));
      socket.on("open", () => this.#send({ event: "connection:hello", data: { protocol: 1, token: this.#token, client: { name: "stranger", version: "1", calls: true }, resume } }));
      socket.on("message", (text) => {
        const frame = JSON.parse(text.toString());
        if (frame.event === "connection:established") resolve(frame.data);
        this.#hears(frame);
      });
    });
    // All is numbered anew in a new session.
    if (!established.resumed) this.#said = this.#received = 0;
    this.#established = established;
    return established;
  }

  /** @param {{ event: string, data: any, seq?: number }} frame */
  #hears({ event, data, seq }) {
    if (event === "connection:ping") return this.#send({ event: "connection:pong", data });
    if (seq === undefined) return;
    this.#received = seq;
    this.#send({ event: "ack", ack: seq });
    this.mail.put(event, data);
  }

  /** @param {object} frame */
  #send(frame) {
    this.#socket?.send(JSON.stringify(frame));
  }
}

/**
 * An offer as a browser makes it, for sound and a picture, with no candidate in it.
 * @param {import("puppeteer-core").Browser} browser
 * @returns {Promise<string>} its SDP
 */
export async function offerOf(browser) {
  const page = await browser.newPage();
  const sdp = await page.evaluate(async () => {
    const peer = new RTCPeerConnection();
    for (const kind of ["audio", "video"]) peer.addTransceiver(kind);
    return (await peer.createOffer()).sdp;
  });
  await page.close();
  return sdp;
}
