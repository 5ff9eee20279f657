/** The two speech shapes: yours and a stranger's. They stand apart while the server looks, and overlap in a talk. */

import { h, svg } from "./dom.js";

const YOU = "M60 0a60 60 0 0 1 0 120H0V60A60 60 0 0 1 60 0z";
const THEM = "M60 0a60 60 0 0 0 0 120h60V60A60 60 0 0 0 60 0z";

/** The picture of the welcome screen: what this is, without a word of explanation. */
export function exchange() {
  const picture = svg(
    "svg",
    { class: "exchange-shapes", viewBox: "0 0 460 410" },
    svg("clipPath", { id: "exchange-you" }, svg("path", { d: YOU, transform: "scale(2.5)" })),
    svg("path", { class: "mark-you", d: YOU, transform: "scale(2.5)" }),
    svg("path", { class: "mark-them", d: THEM, transform: "translate(212 161) scale(2.067)" }),
    svg("g", { "clip-path": "url(#exchange-you)" }, svg("path", { class: "mark-both", d: THEM, transform: "translate(212 161) scale(2.067)" })),
  );
  return h(
    "div",
    { class: "exchange", "aria-hidden": "true" },
    picture,
    h("p", { class: "say say-you" }, "Is anyone else awake at this hour?"),
    h("p", { class: "say say-them" }, "It is noon in Osaka. What keeps you up?"),
  );
}

/** The picture of the waiting screen. `data-stage` moves the two nearer to each other. */
export function approach() {
  return svg(
    "svg",
    { class: "approach", viewBox: "0 0 320 120", "aria-hidden": "true" },
    svg("g", { class: "approach-you" }, svg("path", { d: YOU })),
    svg("g", { class: "approach-them" }, svg("path", { d: THEM })),
  );
}

/**
 * @param {string} name
 * @param {string} id the tone is made from it, so a person keeps theirs
 */
export function avatar(name, id) {
  let sum = 0;
  for (const letter of id) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) >>> 0;
  return h("span", { class: "avatar", "data-tone": sum % 4, "aria-hidden": "true" }, initials(name));
}

/**
 * The first letters of the first two words; of one word, its first two letters.
 * @param {string} name
 */
function initials(name) {
  const words = name.split(/[\s._-]+/u).filter(Boolean);
  const letters = words.length > 1 ? words.slice(0, 2).map((word) => [...word][0]) : [...(words[0] ?? "?")].slice(0, 2);
  return letters.join("").toLocaleUpperCase();
}
