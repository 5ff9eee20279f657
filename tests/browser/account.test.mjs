/** Sign up and log in by the form, with the mistakes people make. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { chromium } from "./support/browsers.mjs";
import { Person } from "./support/person.mjs";
import { startServer } from "./support/server.mjs";

const ANA = { username: "Ana", email: "ana@example.org", password: "a good long one" };

test("signing up and logging in", async (t) => {
  const server = await startServer(t);
  const browser = await chromium(t);
  const ana = await Person.arrive(browser, server.url);

  await t.test("a bad address is said beside its field", async () => {
    await ana.clicks("register");
    await fillIn(ana, { ...ANA, email: "ana at example" });
    await ana.clicks("submit");
    await ana.sees("form-error", "Some fields need a change.");
    await ana.reads(/Write an address such as ana@example\.org\./u);
    assert.equal(await ana.focused(), "email");
    await ana.isPictured("account-1-bad-email");
  });

  await t.test("corrected, it goes in", async () => {
    await ana.empties("email");
    await ana.types("email", ANA.email);
    await ana.presses("Enter");
    await ana.sees("find");
    await ana.reads(/\bAna\b/u);
    await ana.sees("door", "WebTransport");
  });

  await t.test("a name that is taken is said by the server", async () => {
    const other = await Person.arrive(browser, server.url);
    await other.clicks("register");
    await fillIn(other, { ...ANA, email: "another@example.org" });
    await other.clicks("submit");
    await other.sees("form-error", "That username is taken.");
    assert.equal(await other.focused(), "username");
    await other.isPictured("account-2-taken");
    assert.deepEqual(other.complaints, []);
  });

  await t.test("after logging out, a wrong password is refused and the right one goes in", async () => {
    await ana.clicks("logout");
    await ana.clicks("login");
    await fillIn(ana, { email: ANA.email, password: "not the one at all" });
    await ana.clicks("submit");
    await ana.sees("form-error", "Email and password do not match. Check both.");
    await ana.isPictured("account-3-wrong-password");
    await ana.empties("password");
    await ana.types("password", ANA.password);
    await ana.clicks("submit");
    await ana.sees("find");
    await ana.reads(/\bAna\b/u);
  });

  assert.deepEqual(ana.complaints, []);
});

/**
 * @param {Person} person
 * @param {Record<string, string>} values
 */
async function fillIn(person, values) {
  for (const [field, value] of Object.entries(values)) await person.types(field, value);
}
