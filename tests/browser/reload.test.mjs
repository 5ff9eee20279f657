/** A reload in the middle of a talk costs what was said before, and nothing else. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { chromium, firefox } from "./support/browsers.mjs";
import { Person, meet } from "./support/person.mjs";
import { startServer } from "./support/server.mjs";

for (const [name, launch] of Object.entries({ Chromium: chromium, Firefox: firefox })) {
  test(`a reload in ${name} keeps the talk`, async (t) => {
    const server = await startServer(t);
    const browser = await launch(t);
    const ann = await Person.arrive(browser, server.url);
    const ben = await Person.arrive(browser, server.url);
    await ann.goInAsGuest();
    await ben.goInAsGuest();
    await meet(ann, ben);
    await ann.says("before");
    await ben.seesMessage("before", { mine: false });
    const partner = await ann.text("partner");
    const farewells = await ben.listensFor(/They left|did not come back|has ended/u);

    await ann.reloads();

    await ann.sees("partner", partner);
    await ann.reads(/You are still talking with .+ What was said before the reload is not kept\./u);
    assert.equal(await ann.count("message"), 0);
    await ann.isPictured(`reload-${name.toLowerCase()}`);
    await ann.says("after");
    await ben.seesMessage("after", { mine: false });
    await ann.seesMessage("after", { mine: true });
    await ben.says("welcome back");
    await ann.seesMessage("welcome back", { mine: false });
    await ben.seesMessage("welcome back", { mine: true });
    assert.deepEqual(await farewells(), []);
    for (const person of [ann, ben]) assert.deepEqual(person.complaints, []);
  });
}
