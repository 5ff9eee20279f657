/** Two people who both keep writing, and the promise of their talk: everything arrives, once and in order. */

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";

/** As fast as people write who are in a hurry. */
const PACE_MS = 400;

/** Two people who write this fast say more in a minute than a server takes from one by default. */
export const ROOM_TO_WRITE = { DUOLOGUE_LIMITS_EVENTS_PER_MINUTE: "6000" };

/** @typedef {import("./person.mjs").Person} Person */

/**
 * Both write until told to stop.
 * @param {Person} ann
 * @param {Person} ben
 */
export function bothWrite(ann, ben) {
  let going = true;
  const lines = { ann: /** @type {string[]} */ ([]), ben: /** @type {string[]} */ ([]) };
  const writing = [write(ann, "ann"), write(ben, "ben")];

  return {
    /** How many lines each has written so far. */
    count: () => ({ ann: lines.ann.length, ben: lines.ben.length }),

    /**
     * Waits until each has read what the other begins to write from now on.
     * @returns {Promise<void>}
     */
    async arrive() {
      const { ann: a, ben: b } = this.count();
      await Promise.all([ben.seesMessage(line("ann", a + 1), { mine: false }), ann.seesMessage(line("ben", b + 1), { mine: false })]);
    },

    /** Stops them, and checks that nothing was lost, doubled, or out of order; all of it ticked. */
    async stop() {
      going = false;
      await Promise.all(writing);
      const last = { ann: lines.ann.at(-1) ?? "", ben: lines.ben.at(-1) ?? "" };
      await Promise.all([ann.seesMessage(last.ann, { mine: true }), ben.seesMessage(last.ben, { mine: true })]);
      for (const [person, mine, theirs] of [[ann, lines.ann, lines.ben], [ben, lines.ben, lines.ann]]) {
        const seen = await person.messages();
        assert.deepEqual(seen.filter(({ state }) => state !== "delivered"), []);
        assert.deepEqual(seen.filter((message) => message.mine).map(({ text }) => text), mine);
        assert.deepEqual(seen.filter((message) => !message.mine).map(({ text }) => text), theirs);
      }
    },
  };

  /**
   * @param {Person} person
   * @param {"ann" | "ben"} name
   */
  async function write(person, name) {
    while (going) {
      // A line that is begun is written to its end, also after the stop.
      const text = line(name, lines[name].length);
      lines[name].push(text);
      await person.says(text);
      await pause(PACE_MS);
    }
  }
}

/**
 * @param {string} name
 * @param {number} index
 */
function line(name, index) {
  return `${name} writes line ${index + 1}`;
}
