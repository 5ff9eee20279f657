/** Each screen on a desk and on a phone, light and dark: nothing sticks out, and there is a picture to look at. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { chromium } from "./support/browsers.mjs";
import { DESKTOP, PHONE, Person } from "./support/person.mjs";
import { startServer } from "./support/server.mjs";

const LONG = "A message that somebody wrote in one go, with aVeryLongWordThatKnowsNoEnd".concat("AndNoBreak".repeat(12), " in it.");

/** So that no picture catches a colour on its way. */
const STILL = { "prefers-reduced-motion": "reduce" };

test("every screen fits its window", async (t) => {
  const server = await startServer(t);
  const browser = await chromium(t);
  for (const [size, view] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
    for (const scheme of ["light", "dark"]) {
      const name = `${size}-${scheme}`;
      await t.test(name, async () => {
        const ann = await Person.arrive(browser, server.url, { view, media: { "prefers-color-scheme": scheme, ...STILL } });
        const fits = async (screen) => {
          await ann.isPictured(`looks-${name}-${screen}`);
          assert.deepEqual(await ann.sticksOut(), [], `${screen} is too wide`);
        };
        await fits("1-welcome");
        await ann.goInAsGuest();
        await ann.sees("door");
        await ann.types("interests", "jazz,");
        await fits("2-find");
        await ann.clicks("find");
        await ann.sees("waiting");
        await fits("3-waiting");

        const ben = await Person.arrive(browser, server.url);
        await ben.goInAsGuest();
        await ben.types("interests", "jazz,");
        await ben.clicks("find");
        await Promise.all([ann.sees("partner"), ben.sees("partner")]);
        await ben.says("Hello! What are you listening to?");
        await ann.says(LONG);
        await ann.seesMessage(LONG, { mine: true });
        await ben.says("שלום לך");
        await ann.seesMessage("שלום לך", { mine: false });
        await fits("4-talk");
        await ben.clicks("leave");
        await ann.sees("ended");
        await fits("5-ended");
        for (const person of [ann, ben]) assert.deepEqual(person.complaints, []);
        await Promise.all([ann.goes(), ben.goes()]);
      });
    }
  }
});
