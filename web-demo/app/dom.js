/** Making elements, and the few marks the page draws. Knows nothing of conversations. */

/** @typedef {Node | string | null | undefined | false} Child */

/**
 * Makes an element. A property whose name starts with `on` is a listener; `true` sets an empty attribute,
 * `false`, `null` and `undefined` set none.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, unknown>} [props]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, String(value));
  }
  for (const child of children) if (child != null && child !== false) element.append(child);
  return element;
}

/**
 * Changes the text only if it is another one, so that nothing is told twice to those who listen.
 * @param {Element} element
 * @param {string} text
 */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @param {...SVGElement} children
 * @returns {SVGElement}
 */
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Strokes on a 20 by 20 grid. */
const ICONS = {
  skip: "M3 10h11M10 5.5 14.5 10 10 14.5M17.5 4.5v11",
  leave: "M8 3.5H4.5v13H8M8 10h9M13.5 6.5 17 10l-3.5 3.5",
  clear: "M11.5 4 16 8.5 9 15.5H6L3.5 13zM8 7.5l4.5 4.5M6 15.5h11",
  send: "M10 16.5v-13M4.5 9 10 3.5 15.5 9",
  down: "M10 3.5v13M4.5 11l5.5 5.5 5.5-5.5",
  close: "M5 5l10 10M15 5 5 15",
  sending: "M10 5.5V10l3 2M17 10a7 7 0 1 1-14 0 7 7 0 0 1 14 0z",
  sent: "M4.5 10.5 8.5 14.5 16 6",
  delivered: "M1.5 10.5 5.5 14.5 13 6M9.5 13l1.5 1.5L18.5 6",
  failed: "M10 5.5v5.5M10 14v.5M17 10a7 7 0 1 1-14 0 7 7 0 0 1 14 0z",
};

/**
 * @param {keyof typeof ICONS} name
 * @param {string} [label] what it says to those who do not see it; without one it is decoration
 */
export function icon(name, label) {
  /** @type {Record<string, string>} */
  const said = label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" };
  return svg("svg", { class: "icon", viewBox: "0 0 20 20", ...said }, svg("path", { d: ICONS[name] }));
}
