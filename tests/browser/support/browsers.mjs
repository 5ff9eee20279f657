/** The two real browsers. One that is missing fails the test: nothing is skipped. */

import puppeteer from "puppeteer-core";

export const CHROMIUM = process.env.CHROMIUM_BIN ?? "/usr/bin/chromium";
const FIREFOX = process.env.FIREFOX_BIN ?? "/usr/bin/firefox-esr";

/** `--disable-quic` must never be among them: it takes WebTransport away. */
const CHROMIUM_FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // A microphone and a camera that are made up, and allowed.
  "--use-fake-device-for-media-stream",
  "--use-fake-ui-for-media-stream",
];
/** Calls on a machine that has no network but itself. */
const LOOPBACK_FLAG = "--allow-loopback-in-peer-connection";

/** The same for Firefox. It takes no relay on this machine for one, unless told, and it makes calls only where there is a default route. */
const FIREFOX_SETTINGS = {
  "media.navigator.streams.fake": true,
  "media.navigator.permission.disabled": true,
  "media.peerconnection.ice.loopback": true,
};

/** @typedef {import("puppeteer-core").Browser} Browser */

/**
 * Opens a browser with an empty profile, and closes it with the test.
 * @param {import("node:test").TestContext} t
 */
export async function chromium(t) {
  return closing(t, await launchChromium());
}

/** @param {import("node:test").TestContext} t */
export async function firefox(t) {
  const how = { executablePath: FIREFOX, headless: true, extraPrefsFirefox: FIREFOX_SETTINGS };
  return closing(t, await puppeteer.launch({ browser: "firefox", ...how }));
}

/**
 * @param {{ executablePath?: string, pipe?: boolean, loopback?: boolean }} [how] `pipe`: where no port of the browser can
 *   be reached; `loopback`: whether calls may go over that
 */
export function launchChromium({ executablePath = CHROMIUM, pipe = false, loopback = true } = {}) {
  return puppeteer.launch({ executablePath, pipe, headless: true, args: loopback ? [...CHROMIUM_FLAGS, LOOPBACK_FLAG] : CHROMIUM_FLAGS });
}

/**
 * @param {import("node:test").TestContext} t
 * @param {Browser} browser
 */
function closing(t, browser) {
  t.after(() => browser.close());
  return browser;
}
