/** A question that needs an answer. Esc and a click outside answer no. */

import { h } from "./dom.js";

/**
 * @param {{ title: string, text: string, yes: string, no: string }} words
 * @returns {Promise<boolean>}
 */
export function ask({ title, text, yes, no }) {
  const dialog = h(
    "dialog",
    { class: "ask", "aria-labelledby": "ask-title", "aria-describedby": "ask-text" },
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "ask-title" }, title),
      h("p", { id: "ask-text" }, text),
      h(
        "div",
        { class: "pair" },
        h("button", { class: "button", value: "no", "data-testid": "dialog-no", autofocus: true }, no),
        h("button", { class: "button primary", value: "yes", "data-testid": "dialog-yes" }, yes),
      ),
    ),
  );
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close("no"));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((answer) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      answer(dialog.returnValue === "yes");
    });
  });
}
