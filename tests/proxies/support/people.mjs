/** Requests and people that come through a proxy, each from an address of its own: all of 127.0.0.0/8 is this machine. */

import https from "node:https";
import { io } from "socket.io-client";
import { WebSocket } from "ws";
import { Mail } from "../../socketio/support/mail.mjs";

/**
 * A request over TLS.
 * @param {string} url of the proxy
 * @param {string} path
 * @param {{ method?: string, from?: string, headers?: Record<string, string>, body?: object | string }} [how]
 */
export async function ask(url, path, { method = "GET", from, headers = {}, body } = {}) {
  const bytes = typeof body === "object" ? JSON.stringify(body) : body;
  const type = typeof body === "object" ? { "content-type": "application/json" } : {};
  const response = await new Promise((resolve, reject) => {
    const options = { method, localAddress: from, headers: { ...type, ...headers }, rejectUnauthorized: false, agent: false, timeout: 5_000 };
    const request = https.request(url + path, options, resolve);
    request.on("timeout", () => request.destroy(new Error(`${path} was not answered`)));
    request.on("error", reject).end(bytes);
  });
  let text = "";
  for await (const part of response.setEncoding("utf8")) text += part;
  const json = response.headers["content-type"]?.startsWith("application/json");
  return { status: response.statusCode, headers: response.headers, body: json ? JSON.parse(text) : text };
}

/** @param {string} url @param {string} [from] */
export async function guest(url, from) {
  return (await ask(url, "/api/auth/guest", { method: "POST", from, body: {} })).body.data;
}

/** Someone with Socket.IO. @param {import("node:test").TestContext} t */
export async function arrive(t, url, { from, transports }) {
  const person = await guest(url, from);
  const mail = new Mail();
  const agent = new https.Agent({ localAddress: from, rejectUnauthorized: false, keepAlive: true });
  const socket = io(url, { auth: { token: person.token }, transports, agent, rejectUnauthorized: false, forceNew: true, reconnectionDelay: 50 });
  t.after(() => socket.disconnect());
  socket.onAny((event, data) => mail.put(event, data));
  for (const event of ["connect_error", "disconnect"]) socket.on(event, (data) => mail.put(event, data));
  const established = await mail.next("connection:established");
  return { ...person, socket, mail, established };
}

/** Someone with our own protocol, by WebSocket. @param {import("node:test").TestContext} t */
export async function hello(t, url, { from, headers } = {}) {
  const { token } = await guest(url, from);
  const socket = new WebSocket(`${url.replace("https", "wss")}/realtime`, { localAddress: from, headers, rejectUnauthorized: false });
  t.after(() => socket.terminate());
  const mail = new Mail();
  socket.on("open", () => socket.send(JSON.stringify({ event: "connection:hello", data: { protocol: 1, token, client: { name: "test", version: "1" } } })));
  socket.on("message", (text) => {
    const { event, data } = JSON.parse(text.toString());
    mail.put(event, data);
  });
  socket.on("close", (code) => mail.put("closed", code));
  socket.on("error", (error) => mail.put("failed", error.message));
  return { socket, mail, established: await mail.next("connection:established") };
}
