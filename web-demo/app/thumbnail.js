/** A small picture in a box that has its room from the start, and the whole of it when it is clicked. */

import { h, icon } from "./dom.js";

/** What only paints. An SVG is a program, and stays a file. */
const SAFE = new Set(["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"]);
/** A small file can hold a picture that no memory can. */
const MOST_PIXELS = 50_000_000;

/** @param {string} mime */
export function isPicture(mime) {
  return SAFE.has(mime);
}

/** @param {{ name: string, mime: string }} picture */
export function thumbnail({ name, mime }) {
  const element = h(
    "button",
    { class: "thumbnail", type: "button", "data-testid": "transfer-thumbnail", "aria-label": `Look at ${name}`, disabled: true, onclick: enlarge },
    icon("picture"),
  );
  let url = "";
  /** @type {HTMLDialogElement | null} */
  let dialog = null;

  return {
    element,
    release,

    /**
     * Resolves with whether it is a picture.
     * @param {Blob} blob
     */
    async show(blob) {
      release();
      url = URL.createObjectURL(new Blob([blob], { type: mime }));
      const picture = h("img", { class: "thumbnail-picture", alt: "", draggable: "false" });
      try {
        await new Promise((resolve, reject) => {
          picture.onload = resolve;
          picture.onerror = reject;
          picture.src = url;
        });
        if (picture.naturalWidth * picture.naturalHeight > MOST_PIXELS) return false;
        await picture.decode();
      } catch {
        return false;
      }
      element.replaceChildren(picture);
      element.disabled = false;
      return true;
    },
  };

  function enlarge() {
    const close = () => shown.close();
    const shown = h(
      "dialog",
      { class: "enlarged", "data-testid": "transfer-view", "aria-label": name, onclick: close },
      h("img", { class: "enlarged-picture", src: url, alt: name }),
      h("button", { class: "enlarged-close", type: "button", "aria-label": "Close", title: "Close", autofocus: true }, icon("close")),
    );
    shown.addEventListener("close", () => {
      shown.remove();
      dialog = null;
    });
    dialog = shown;
    document.body.append(shown);
    shown.showModal();
  }

  function release() {
    dialog?.close();
    URL.revokeObjectURL(url);
  }
}
