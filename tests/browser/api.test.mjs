/** The page to try the API: under our own policy, someone comes in as a guest and sees who they are. */

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { chromium } from "./support/browsers.mjs";
import { DESKTOP, PHONE } from "./support/person.mjs";
import { startServer } from "./support/server.mjs";

/** Pictures to look at. */
const OUT = path.resolve(import.meta.dirname, "out");
const WAIT_MS = 10_000;

test("the API is tried in the browser, and its policy forbids nothing of the page", async (t) => {
  const server = await startServer(t);
  const page = await (await chromium(t)).newPage();
  const complaints = [];
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(`${server.url}/api/docs`);

  /** @param {string} route */
  const call = async (route) => {
    const card = await page.waitForSelector(`::-p-xpath(//details[.//span[@class="path" and text()="${route}"]])`, { timeout: WAIT_MS });
    assert.ok(card);
    await (await card.$("summary"))?.click();
    await (await card.$("form button"))?.click();
    const status = await card.waitForSelector(".result .status", { timeout: WAIT_MS });
    return { status: await status?.evaluate((it) => it.textContent), body: await card.$eval(".result pre", (it) => it.textContent ?? "") };
  };
  const guest = await call("/api/auth/guest");
  assert.match(guest.status ?? "", /^201 /u);
  const { user } = JSON.parse(guest.body).data;
  const me = await call("/api/auth/me");
  assert.match(me.status ?? "", /^200 /u);
  assert.equal(JSON.parse(me.body).data.user.id, user.id, "the guest's token went with it");
  const registered = await call("/api/auth/register");
  assert.match(registered.status ?? "", /^201 /u, "the example is taken as it stands");
  const device = await call("/api/users/device");
  assert.match(device.status ?? "", /^200 /u);

  for (const [name, view] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
    await page.setViewport(view);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(wide <= 0, `it is ${wide} px too wide on a ${name}`);
    await mkdir(OUT, { recursive: true });
    await page.screenshot({ path: path.join(OUT, `api-${name}.png`) });
  }
  assert.deepEqual(complaints, []);
});
