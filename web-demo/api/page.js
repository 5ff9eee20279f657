/** The page to try the API: reads its document, and makes a card of each call. */

import { h } from "/app/dom.js";
import { callCard, words } from "./call.js";

/**
 * @typedef {import("./call.js").Operation & { tags?: string[] }} Tagged
 * @typedef {import("./schema.js").Document & { info: { title: string, version: string, description: string },
 *   tags: { name: string, description: string }[], paths: Record<string, Record<string, Tagged>> }} Api
 */

const main = /** @type {HTMLElement} */ (document.querySelector("#api"));

try {
  const answer = await fetch("/api/openapi.json");
  if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
  show(await answer.json());
} catch (error) {
  main.replaceChildren(h("p", { class: "form-error" }, `The API's document cannot be read. ${error instanceof Error ? error.message : error}`));
}
main.removeAttribute("aria-busy");

/** @param {Api} api */
function show(api) {
  const held = h("input", { id: "token", autocomplete: "off", spellcheck: "false", placeholder: "eyJ…" });
  const token = {
    read: () => held.value.trim(),
    /** @param {string} heard */
    heard: (heard) => {
      if (heard) held.value = heard;
    },
  };
  const groups = api.tags.map(({ name, description }) => {
    const cards = Object.entries(api.paths).flatMap(([path, methods]) =>
      Object.entries(methods).flatMap(([method, operation]) =>
        operation.tags?.includes(name) ? [callCard({ document: api, method, path, operation, token })] : []));
    return h("section", { class: "group" }, h("h2", {}, name), h("p", { class: "hint" }, description), ...cards);
  });
  main.replaceChildren(
    h("div", { class: "intro" },
      h("h1", {}, `${api.info.title} ${api.info.version}`),
      h("p", { class: "lead" }, ...words(api.info.description)),
      h("div", { class: "token" },
        h("label", { for: "token" }, "Token"),
        h("div", { class: "row" }, held),
        h("p", { class: "hint" }, "Register, log in or come in as a guest below, and it is filled in; it goes with every call that asks for one. Requests are real and count against the limits."))),
    ...groups,
  );
}
