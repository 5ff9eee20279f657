/** Where the partner is, and whether they look: as a person sees it who talks with them. */

import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { chromium } from "./support/browsers.mjs";
import { DESKTOP, PHONE, Person, meet } from "./support/person.mjs";
import { startServer } from "./support/server.mjs";

/** A page tells that nobody looks after 10 s. */
const AWAY_WITHIN_MS = 15_000;
const PLACES = {
  DUOLOGUE_PLACE_DATABASE: path.resolve(import.meta.dirname, "../place/places.mmdb"),
  DUOLOGUE_PLACE_SHOW: "city",
};

for (const [size, view] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
  test(`the partner's place and absence show on a ${size}`, async (t) => {
    const server = await startServer(t, PLACES);
    const browser = await chromium(t);
    const ann = await Person.arrive(browser, server.url, { view });
    const ben = await Person.arrive(browser, server.url);
    for (const person of [ann, ben]) await person.goInAsGuest();
    await meet(ann, ben);
    await ann.sees("place", "Delft, Netherlands");
    await ann.sees("status", "Online");
    await ann.isPictured(`presence-${size}-1-online`);
    assert.deepEqual(await ann.sticksOut(), []);

    const back = await ben.looksElsewhere();
    await ann.sees("status", "Away", AWAY_WITHIN_MS);
    await ann.isPictured(`presence-${size}-2-away`);
    // What is said meanwhile arrives.
    await ann.says("Still there?");
    await ann.seesMessage("Still there?", { mine: true, state: "delivered" });
    await back();
    await ann.sees("status", "Online");
    for (const person of [ann, ben]) assert.deepEqual(person.complaints, []);
  });
}
