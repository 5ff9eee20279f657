/** Ann and Ben in a world where they can call each other. */

import { TabStorage, collect } from "./clients.js";
import { openMedia } from "./media.js";
import { World } from "./world.js";

export async function callers(t, options = {}) {
  const media = openMedia(t);
  const world = new World(t);
  const { before, ...pairing } = options;
  before?.(world);
  const [ann, ben] = await world.pair(pairing);
  for (const person of [ann, ben]) listen(person);
  /** Ann calls, Ben takes it, and media flows. */
  const connect = async (wanted = {}, taken = {}) => {
    const call = await world.until(ann.talk.call(wanted));
    await world.see("the ring", () => ben.calls.at(-1)?.id === call.id);
    await world.until(ben.calls.at(-1).accept(taken));
    await flows(world, call, ben.calls.at(-1));
    return [call, ben.calls.at(-1)];
  };
  /** The names of what someone said to the server about calls since a frame. */
  const said = (name, from = 0) =>
    world.server.heard.slice(from).filter(({ user, event }) => user === name && /^(?:call|webrtc|ice):/u.test(event)).map(({ event }) => event);
  return { ...media, world, ann, ben, connect, said, server: world.server };
}

/** Someone's page is reloaded: they are there again with what their tab has kept. */
export async function reload(world, person, name) {
  const storage = new TabStorage();
  storage.items = new Map(person.storage.items);
  for (const path of [person.network.udp, person.network.tcp]) path.block();
  const again = world.person(name, { storage });
  again.client.addEventListener("matched", ({ detail }) => {
    again.talk = detail.conversation;
    listen(again);
  });
  await world.until(again.client.connect());
  return again;
}

/** Collects the calls that come to someone. */
export function listen(person) {
  person.calls = [];
  person.talk.addEventListener("call", ({ detail }) => person.calls.push(detail));
}

export async function flows(world, ...calls) {
  for (const call of calls) await world.see(`${call.direction} connected, not ${call.state}`, () => call.state === "connected");
}

/** The states a call goes through, and how it ends; from now on. */
export function course(call) {
  const [states, reasons] = [[], []];
  call.addEventListener("state", ({ detail }) => states.push(detail.state));
  call.addEventListener("ended", ({ detail }) => reasons.push(detail.reason));
  return { states, reasons, ended: collect(call, "ended") };
}
