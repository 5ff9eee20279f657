/** What to talk about, and the one button that starts. */

import { chips } from "./chips.js";
import { h } from "./dom.js";
import { languageCode, languageName, suggestedLanguages } from "./languages.js";

/** @typedef {import("./store.js").Choice} Choice */

const INTERESTS = ["music", "books", "films", "cooking", "travel", "games", "football", "science", "code", "gardening"];
const MOST_INTERESTS = 8;
const MOST_LANGUAGES = 4;

/**
 * @param {{ choice: Choice, find(choice: Choice): void }} options
 */
export function find({ choice, find }) {
  const interests = chips({
    label: "Interests",
    hint: "Type one and press Enter, or pick below. None is fine too.",
    testid: "interests",
    values: choice.interests,
    suggestions: INTERESTS,
    most: MOST_INTERESTS,
  });
  const languages = chips({
    label: "Languages",
    hint: "The languages you want to talk in.",
    testid: "languages",
    values: choice.languages,
    suggestions: suggestedLanguages(),
    most: MOST_LANGUAGES,
    show: languageName,
    read: languageCode,
    unknown: "We do not know that language. Try its English name.",
  });
  const title = h("h1", { tabindex: "-1" }, "What would you like to talk about?");
  const element = h(
    "form",
    { class: "find", novalidate: true, onsubmit },
    title,
    interests.element,
    languages.element,
    h(
      "div",
      { class: "find-go" },
      h("p", { class: "hint" }, "We look for a match first, then wider, then for anyone who is here. You can leave at any time."),
      h("button", { class: "button primary wide", type: "submit", "data-testid": "find" }, "Find someone"),
    ),
  );
  return {
    element,
    // On a touch screen the keyboard would hide the page before it was read.
    focus: () => (matchMedia("(pointer: coarse)").matches ? title.focus() : interests.focus()),
  };

  /** @param {SubmitEvent} event */
  function onsubmit(event) {
    event.preventDefault();
    find({ interests: interests.values(), languages: languages.values() });
  }
}
