/** What stands around every screen: the banner, the account, and short notices. */

import { h, icon, write } from "./dom.js";
import { sentence, wait } from "./words.js";

/** @typedef {import("./words.js").Problem} Problem */

const NOTICE_STAYS = 8000;

const banner = find(".banner");
const end = find(".top-end");
const notices = find(".notices");

const account = h("div", { class: "account" });
end.append(account);

/** @type {ReturnType<typeof setTimeout> | undefined} */
let noticeTimer;
/** @type {ReturnType<typeof setInterval> | undefined} */
let bannerTimer;

/**
 * Says that the link is being made again, and counts down to the next try.
 * @param {number} retryInMs
 */
export function showReconnecting(retryInMs) {
  clearInterval(bannerTimer);
  const at = performance.now() + retryInMs;
  document.documentElement.dataset.link = "lost";
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
