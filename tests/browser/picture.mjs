/** Makes docs/demo.png: `node tests/browser/picture.mjs`. */

import { stat } from "node:fs/promises";
import path from "node:path";
import { launchChromium } from "./support/browsers.mjs";
import { Person, meet } from "./support/person.mjs";
import { launchServer } from "./support/server.mjs";

const FILE = path.resolve(import.meta.dirname, "../../docs/demo.png");
const NOTES = path.resolve(import.meta.dirname, "../../README.md");
const MOST_BYTES = 200_000;
const INTERESTS = "cooking,travel,";

const TALK = [
  ["Mira", "Hi! Where are you writing from?"],
  ["Jonas", "Lisbon, for one more week. I am here for the food, to be honest."],
  ["Mira", "Then you have to try the grilled sardines in Alfama."],
  ["Mira", "Any place with smoke coming out of the door will do."],
  ["Jonas", "That is the best restaurant guide I have ever been given. Listen:"],
];

const server = await launchServer();
const browser = await launchChromium();
try {
  const people = {};
  for (const username of ["Mira", "Jonas"]) people[username] = await signUp(username);
  await meet(people.Mira, people.Jonas);
  for (const [speaker, text] of TALK) {
    await people[speaker].says(text);
    await people[speaker].seesMessage(text, { mine: true });
  }
  // A voice note, and a list that is accepted.
  await people.Jonas.clicks("record");
  await people.Jonas.sees("record-stop");
  await new Promise((resolve) => setTimeout(resolve, 4_000));
  await people.Jonas.clicks("record-stop");
  await people.Mira.sees("voice-player");
  await people.Mira.attaches(NOTES);
  await people.Jonas.clicks("transfer-accept");
  await people.Mira.seesFile("README.md", "complete");
  await people.Mira.sees("door", "WebTransport");
  await people.Mira.sees("rtt");
  await people.Mira.isPicturedAs(FILE);
} finally {
  await browser.close();
  await server.stop();
}
const { size } = await stat(FILE);
if (size > MOST_BYTES) throw new Error(`${FILE} has ${size} bytes, more than ${MOST_BYTES}.`);
console.log(`${FILE}: ${size} bytes`);

/** @param {string} username */
async function signUp(username) {
  const person = await Person.arrive(browser, server.url, { media: { "prefers-reduced-motion": "reduce" } });
  await person.clicks("register");
  await person.types("username", username);
  await person.types("email", `${username.toLowerCase()}@example.org`);
  await person.types("password", "a good long one");
  await person.clicks("submit");
  await person.sees("find");
  await person.types("interests", INTERESTS);
  return person;
}
