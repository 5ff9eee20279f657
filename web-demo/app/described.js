/** A file or voice note that came as words only, as from apps of the first API. Pure. */

import { bytes } from "./words.js";

/** Longest of what is said, in characters. */
const MOST = 300;
/** What would hide or turn round the words about it. */
const UNSEEN = /[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/**
 * What to show for it. A link leads to this site only, and nothing is loaded before someone follows it.
 * @param {"file" | "voice"} type
 * @param {string} content text, or the JSON of an object with `name`, `size` and `url`
 * @param {string} origin of this site
 * @returns {{ content: string, link?: string }}
 */
export function described(type, content, origin) {
  const thing = type === "voice" ? "Voice note" : "File";
  const said = object(content);
  if (!said) return { content: `${thing}: ${shown(content)}` };
  const name = typeof said.name === "string" ? shown(said.name) : "";
  const size = Number.isFinite(said.size) && said.size >= 0 ? ` (${bytes(said.size)})` : "";
  const words = { content: name ? `${thing}: ${name}${size}` : `${thing}${size}` };
  const link = typeof said.url === "string" ? ours(said.url, origin) : null;
  return link ? { ...words, link } : words;
}

/** @param {string} content @returns {any} */
function object(content) {
  if (!content.startsWith("{")) return null;
  try {
    return JSON.parse(content);
  } catch {
    return null;
  }
}

/** @param {string} text */
function shown(text) {
  const clean = text.replace(UNSEEN, "").trim();
  const letters = [...clean];
  return letters.length > MOST ? `${letters.slice(0, MOST).join("")}…` : clean;
}

/** @param {string} url @param {string} origin */
function ours(url, origin) {
  try {
    const address = new URL(url, origin);
    return address.origin === origin ? address.href : null;
  } catch {
    return null;
  }
}
