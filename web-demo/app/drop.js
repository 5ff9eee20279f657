/** Files dropped anywhere on the page, or pasted: where they come from is all the same to the talk. */

import { h, icon } from "./dom.js";
import { notify } from "./shell.js";

/**
 * @param {object} options
 * @param {string} options.partner
 * @param {() => boolean} options.open whether anything may be sent
 * @param {(files: File[]) => void} options.take
 * @param {AbortSignal} options.signal
 */
export function dropping({ partner, open, take, signal }) {
  const element = h(
    "div",
    { class: "drop", "data-testid": "drop", hidden: true },
    h("p", { class: "drop-words" }, icon("attach"), h("span", {}, "Drop to send to ", h("bdi", {}, partner))),
  );

  // Also where nothing is taken: a browser would open the file in place of the talk.
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = open() ? "copy" : "none";
    element.hidden = !open();
  }, { signal });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) element.hidden = true;
  }, { signal });
  document.addEventListener("drop", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    element.hidden = true;
    if (open()) take(filesOf(event.dataTransfer));
  }, { signal });
  document.addEventListener("paste", (event) => {
    const data = event.clipboardData;
    if (!open() || !data?.files.length || document.querySelector("dialog[open]")) return;
    // A text processor gives a picture of the words beside the words; a file manager gives the name beside the file.
    const text = data.getData("text/plain");
    if (text && ![...data.files].some(({ name }) => text.includes(name))) return;
    event.preventDefault();
    take(filesOf(data));
  }, { signal });

  return element;
}

/** @param {DataTransfer} data */
function filesOf(data) {
  const items = [...data.items].filter(({ kind }) => kind === "file");
  const files = items.filter((item) => !item.webkitGetAsEntry?.()?.isDirectory).map((item) => item.getAsFile());
  if (files.length < items.length) notify("A folder cannot be sent. Choose the files in it.");
  return files.filter((file) => file !== null);
}
