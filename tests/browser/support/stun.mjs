/** A client of TURN (RFC 8656) that can ask for what a browser never would, and hears the code of each refusal. */

import { createHash, createHmac, randomBytes } from "node:crypto";
import dgram from "node:dgram";
import { once } from "node:events";
import net from "node:net";
import tls from "node:tls";

const COOKIE = 0x2112a442;
const HEADER = 20;
const METHOD = { binding: 1, allocate: 3, refresh: 4, send: 6, permission: 8 };
const ATTRIBUTE = {
  username: 0x0006, integrity: 0x0008, error: 0x0009, lifetime: 0x000d, peer: 0x0012, data: 0x0013,
  realm: 0x0014, nonce: 0x0015, relayed: 0x0016, family: 0x0017, transport: 0x0019, mapped: 0x0020, software: 0x8022,
};
/** REQUESTED-TRANSPORT: a protocol's number at IANA. */
const UDP = Buffer.from([17, 0, 0, 0]);
const DATA_INDICATION = 0x0017;
const ANSWER_WITHIN_MS = 3_000;

/** @typedef {{ username: string, credential: string }} Credentials */
/** @typedef {{ address: string, port: number }} Place */

export class TurnClient {
  #send;
  #close;
  /** Who waits for which transaction. @type {Map<string, (message: Message) => void>} */
  #waiting = new Map();
  /** What came from peers. @type {string[]} */
  received = [];
  /** Of the long-term credentials (RFC 8489 section 9.2): known after the first refusal. @type {{ realm: string, nonce: string } | undefined} */
  #challenge;
  /** Where it speaks from. */
  address;
  /** Why its connection is gone. @type {Error | undefined} */
  #lost;
  /** @type {Credentials | undefined} */
  #credentials;

  /**
   * @param {(bytes: Buffer) => void} send
   * @param {() => void} close
   * @param {{ address?: string, port?: number }} from
   */
  constructor(send, close, from) {
    this.address = `${from.address}:${from.port}`;
    this.#send = send;
    this.#close = close;
  }

  /**
   * @param {import("node:test").TestContext} t
   * @param {{ host?: string, port: number, door?: "udp" | "tcp" | "tls" }} where
   */
  static async open(t, { host = "127.0.0.1", port, door = "udp" }) {
    const client = door === "udp" ? await TurnClient.#overUdp(host, port) : await TurnClient.#overTcp(host, port, door);
    t.after(() => client.#close());
    return client;
  }

  /** @param {string} host @param {number} port */
  static async #overUdp(host, port) {
    const socket = dgram.createSocket(net.isIPv6(host) ? "udp6" : "udp4");
    socket.connect(port, host);
    await once(socket, "connect");
    const client = new TurnClient((bytes) => socket.send(bytes), () => socket.close(), socket.address());
    socket.on("message", (bytes) => client.#hear(bytes));
    return client;
  }

  /** @param {string} host @param {number} port @param {"tcp" | "tls"} door */
  static async #overTcp(host, port, door) {
    const socket = door === "tls" ? tls.connect({ host, port, rejectUnauthorized: false }) : net.connect({ host, port });
    await once(socket, door === "tls" ? "secureConnect" : "connect");
    const client = new TurnClient((bytes) => socket.write(bytes), () => socket.destroy(), /** @type {net.AddressInfo} */ (socket.address()));
    socket.on("error", (error) => (client.#lost = error));
    let rest = Buffer.alloc(0);
    socket.on("data", (bytes) => {
      rest = Buffer.concat([rest, bytes]);
      while (rest.length >= HEADER && rest.length >= HEADER + rest.readUInt16BE(2)) {
        const end = HEADER + rest.readUInt16BE(2);
        client.#hear(rest.subarray(0, end));
        rest = rest.subarray(end);
      }
    });
    return client;
  }

  /** Asks for its own address, as STUN does. */
  async bind() {
    return this.#ask(METHOD.binding, []);
  }

  /**
   * Asks for a relay, as a browser does: once to be told the realm and a nonce, and once with credentials.
   * @param {Credentials} credentials
   * @param {4 | 6} [family]
   * @returns {Promise<{ code: number, relayed?: Place }>} code 0: it has one
   */
  async allocate(credentials, family = 4) {
    const asks = [[ATTRIBUTE.transport, UDP], [ATTRIBUTE.family, Buffer.from([family === 6 ? 2 : 1, 0, 0, 0])]];
    const refused = await this.#ask(METHOD.allocate, asks);
    this.#challenge = { realm: refused.text(ATTRIBUTE.realm), nonce: refused.text(ATTRIBUTE.nonce) };
    this.#credentials = credentials;
    const answer = await this.#ask(METHOD.allocate, asks);
    return { code: answer.code, ...(answer.code ? {} : { relayed: answer.place(ATTRIBUTE.relayed) }) };
  }

  /** Asks that this address may be talked to. Resolves with the code of the refusal, or 0. @param {string} address */
  async permit(address) {
    const { code } = await this.#ask(METHOD.permission, [[ATTRIBUTE.peer, this.#placed({ address, port: 9 })]]);
    return code;
  }

  /** Keeps its relay for longer. Resolves with the code of the refusal, or 0. @param {Credentials} [credentials] if not those from before */
  async refresh(credentials = this.#credentials) {
    this.#credentials = credentials;
    return (await this.#ask(METHOD.refresh, [[ATTRIBUTE.lifetime, Buffer.from([0, 0, 2, 88])]])).code;
  }

  /** @param {Place} peer @param {string} text */
  say(peer, text) {
    const transaction = randomBytes(12);
    this.#send(framed(METHOD.send | 0x0010, transaction, [[ATTRIBUTE.peer, this.#placed(peer, transaction)], [ATTRIBUTE.data, Buffer.from(text)]]));
  }

  /** @param {Buffer} bytes */
  #hear(bytes) {
    const message = new Message(bytes);
    if (message.type === DATA_INDICATION) this.received.push(message.text(ATTRIBUTE.data));
    else this.#waiting.get(message.transaction)?.(message);
  }

  /**
   * @param {number} method
   * @param {(readonly [number, Buffer])[]} attributes
   * @returns {Promise<Message>}
   */
  #ask(method, attributes) {
    const transaction = randomBytes(12);
    const key = transaction.toString("hex");
    // An address of IPv6 is hidden with the transaction's number.
    const fitted = attributes.map(([type, value]) => /** @type {const} */ ([type, type === ATTRIBUTE.peer ? hidden(value, transaction) : value]));
    this.#send(this.#signed(method, transaction, fitted));
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`The relay did not answer method ${method}.`, { cause: this.#lost })), ANSWER_WITHIN_MS);
      this.#waiting.set(key, (message) => {
        clearTimeout(late);
        this.#waiting.delete(key);
        resolve(message);
      });
    });
  }

  /** @param {number} method @param {Buffer} transaction @param {(readonly [number, Buffer])[]} attributes */
  #signed(method, transaction, attributes) {
    const { username, credential } = this.#credentials ?? {};
    if (!this.#challenge || username === undefined) return framed(method, transaction, attributes);
    const { realm, nonce } = this.#challenge;
    const named = [...attributes, [ATTRIBUTE.username, Buffer.from(username)], [ATTRIBUTE.realm, Buffer.from(realm)], [ATTRIBUTE.nonce, Buffer.from(nonce)]];
    // The signature covers a head that counts it already (RFC 8489 section 14.5).
    const covered = framed(method, transaction, [...named, [ATTRIBUTE.integrity, Buffer.alloc(20)]]).subarray(0, -24);
    const key = createHash("md5").update(`${username}:${realm}:${credential}`).digest();
    return framed(method, transaction, [...named, [ATTRIBUTE.integrity, createHmac("sha1", key).update(covered).digest()]]);
  }

  /** @param {Place} place @param {Buffer} [transaction] */
  #placed({ address, port }, transaction) {
    const bytes = packed(address);
    const value = Buffer.concat([Buffer.from([0, bytes.length === 16 ? 2 : 1, port >> 8, port & 0xff]), bytes]);
    return transaction ? hidden(value, transaction) : value;
  }
}

/** What came. */
class Message {
  #bytes;
  /** @type {Map<number, Buffer>} */
  #attributes = new Map();

  /** @param {Buffer} bytes */
  constructor(bytes) {
    this.#bytes = bytes;
    for (let at = HEADER; at + 4 <= bytes.length;) {
      const length = bytes.readUInt16BE(at + 2);
      this.#attributes.set(bytes.readUInt16BE(at), bytes.subarray(at + 4, at + 4 + length));
      at += 4 + length + padding(length);
    }
  }

  get type() {
    return this.#bytes.readUInt16BE(0);
  }

  get transaction() {
    return this.#bytes.subarray(8, HEADER).toString("hex");
  }

  /** Of the refusal; 0 for a yes. */
  get code() {
    const error = this.#attributes.get(ATTRIBUTE.error);
    return error ? error[2] * 100 + error[3] : 0;
  }

  /** The numbers of what it has. */
  get has() {
    return [...this.#attributes.keys()];
  }

  get length() {
    return this.#bytes.length;
  }

  /** @param {number} type */
  text(type) {
    return this.#attributes.get(type)?.toString() ?? "";
  }

  /** @param {number} type @returns {Place} */
  place(type) {
    const value = hidden(/** @type {Buffer} */ (this.#attributes.get(type)), this.#bytes.subarray(8, HEADER));
    const bytes = value.subarray(4);
    const address = bytes.length === 4 ? bytes.join(".") : (bytes.toString("hex").match(/.{4}/gu) ?? []).join(":");
    return { address, port: value.readUInt16BE(2) };
  }
}

/** @param {number} type @param {Buffer} transaction @param {(readonly [number, Buffer])[]} attributes */
function framed(type, transaction, attributes) {
  const body = Buffer.concat(attributes.flatMap(([name, value]) => {
    const head = Buffer.alloc(4);
    head.writeUInt16BE(name, 0);
    head.writeUInt16BE(value.length, 2);
    return [head, value, Buffer.alloc(padding(value.length))];
  }));
  const head = Buffer.alloc(8);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(body.length, 2);
  head.writeUInt32BE(COOKIE, 4);
  return Buffer.concat([head, transaction, body]);
}

/** An address as the wire has it, and back: XOR with the cookie and the transaction (RFC 8489 section 14.2). @param {Buffer} value @param {Buffer} transaction */
function hidden(value, transaction) {
  const cookie = Buffer.alloc(4);
  cookie.writeUInt32BE(COOKIE);
  const mask = Buffer.concat([Buffer.alloc(2), cookie.subarray(0, 2), cookie, transaction]);
  return Buffer.from(value.map((byte, index) => byte ^ mask[index]));
}

/** @param {string} address */
function packed(address) {
  if (net.isIPv4(address)) return Buffer.from(address.split(".").map(Number));
  const dotted = address.replace(/\d+\.\d+\.\d+\.\d+$/u, (four) => packed(four).toString("hex").replace(/(.{4})(.{4})/u, "$1:$2"));
  const [left, right] = dotted.split("::").map((half) => half.split(":").filter(Boolean));
  const groups = right ? [...left, ...Array(8 - left.length - right.length).fill("0"), ...right] : left;
  return Buffer.from(groups.map((group) => group.padStart(4, "0")).join(""), "hex");
}

/** Attributes begin at multiples of four. @param {number} length */
function padding(length) {
  return -length & 3;
}
