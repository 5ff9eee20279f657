/** What stands around every screen: the link badge, the banner, the account, and short notices. */

import { h, icon } from "./dom.js";
import { sentence, wait } from "./words.js";

/**
 * @typedef {import("./words.js").Problem} Problem
 * @typedef {{ door?: string, state?: string, rttMs?: number, reason?: string }} Link
 */

/** @type {Record<string, string>} */
const DOORS = { webtransport: "WebTransport", websocket: "WebSocket" };
const NOTICE_STAYS = 8000;

const banner = find(".banner");
const end = find(".top-end");
const notices = find(".notices");

const door = h("span", { class: "door", "data-testid": "door" });
const rtt = h("span", { class: "rtt", "data-testid": "rtt" });
const badge = h("p", { class: "badge", role: "status", hidden: true }, h("span", { class: "lamp" }), door, rtt);
const account = h("div", { class: "account" });
end.append(badge, account);

/** @type {ReturnType<typeof setTimeout> | undefined} */
let noticeTimer;
/** @type {ReturnType<typeof setInterval> | undefined} */
let bannerTimer;

/** The door in use; news of other doors, which only raced with it, does not show. */
let current = "";
/** WebTransport was tried and did not open. It is often given up only after the other door has won. */
let blocked = false;

/** @param {Link} link */
export function showLink({ door: name = "", state = "", rttMs }) {
  if (state === "open") current = name;
  if (name === "webtransport") blocked = state === "open" ? false : blocked || (state === "closed" && name !== current);
  if (current) explain();
  if (!current || name !== current) return;
  door.dataset.state = badge.dataset.state = state;
  badge.hidden = false;
  write(door, DOORS[name] ?? name);
  if (rttMs !== undefined) write(rtt, `${Math.max(1, Math.round(rttMs))} ms`);
}

/** Says what the badge stands for, to those who point at it. */
function explain() {
  badge.title =
    current === "websocket" && blocked
      ? "Your network seems to block UDP, so we talk over WebSocket. Nothing is lost."
      : `Connected over ${DOORS[current] ?? current}. The number is the round trip to the server.`;
}

export function hideLink() {
  current = "";
  blocked = false;
  badge.hidden = true;
  door.textContent = "";
  rtt.textContent = "";
}

/**
 * Says that the link is being made again, and counts down to the next try.
 * @param {number} retryInMs
 */
export function showReconnecting(retryInMs) {
  clearInterval(bannerTimer);
  const at = performance.now() + retryInMs;
  document.documentElement.dataset.link = "lost";
  door.dataset.state = badge.dataset.state = "reconnecting";
  const count = h("span", { "aria-hidden": "true" });
  const line = navigator.onLine ? "Reconnecting" : "You are offline";
  banner.replaceChildren(h("span", { class: "lamp" }), line, count, h("span", { class: "banner-more" }, "What you write is kept and sent."));
  const tick = () => {
    const left = at - performance.now();
    write(count, navigator.onLine && left > 1000 ? ` in ${wait(left)}` : "");
  };
  tick();
  bannerTimer = setInterval(tick, 500);
}

export function hideReconnecting() {
  clearInterval(bannerTimer);
  delete document.documentElement.dataset.link;
  banner.replaceChildren();
}

/**
 * @param {{ username: string } | null} user
 * @param {() => void} logOut
 */
export function showAccount(user, logOut) {
  if (!user) return account.replaceChildren();
  account.replaceChildren(
    h("bdi", { class: "account-name", title: user.username }, user.username),
    h("button", { class: "link", type: "button", "data-testid": "logout", onclick: logOut }, "Log out"),
  );
}

/**
 * One short notice at a time.
 * @param {string} text
 * @param {Problem} [problem] its code goes into the details
 */
export function notify(text, problem) {
  clearTimeout(noticeTimer);
  const close = h("button", { class: "notice-close", type: "button", "aria-label": "Close this notice", onclick: hideNotice }, icon("close"));
  const details = problem && h("details", { class: "code" }, h("summary", {}, "Details"), `${problem.code}: ${problem.message}`);
  const notice = h("div", { class: "notice", "data-testid": "notice" }, h("div", { class: "notice-words" }, h("p", {}, text), details), close);
  const stay = () => clearTimeout(noticeTimer);
  notice.addEventListener("pointerenter", stay);
  notice.addEventListener("focusin", stay);
  notices.replaceChildren(notice);
  noticeTimer = setTimeout(hideNotice, NOTICE_STAYS);
}

/** @param {Problem} problem */
export function notifyProblem(problem) {
  notify(sentence(problem), problem);
}

export function hideNotice() {
  clearTimeout(noticeTimer);
  notices.replaceChildren();
}

/** Keeps the page as tall as what the phone's keyboard leaves of the window. */
export function followKeyboard() {
  const view = window.visualViewport;
  if (!view) return;
  const root = document.documentElement;
  const fit = () => {
    // A pinch zoom also shrinks the visual viewport; only a keyboard leaves the scale alone.
    if (view.scale > 1.01) return;
    root.style.setProperty("--height", `${view.height}px`);
    root.dataset.low = String(view.height < 480);
    if (view.offsetTop > 0) window.scrollTo(0, 0);
  };
  view.addEventListener("resize", fit);
  view.addEventListener("scroll", fit);
  fit();
}

/** @param {string} selector */
function find(selector) {
  const element = document.querySelector(selector);
  if (!(element instanceof HTMLElement)) throw new Error(`index.html has no ${selector}`);
  return element;
}

/**
 * @param {HTMLElement} element
 * @param {string} text
 */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
