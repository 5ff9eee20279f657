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
  attach: "M15.5 9.5 9.8 15.2a3.7 3.7 0 0 1-5.2-5.2l6-6a2.5 2.5 0 0 1 3.5 3.5l-5.8 5.8a1.2 1.2 0 0 1-1.7-1.7L12 6.2",
  record: "M10 2.5a2.5 2.5 0 0 1 2.5 2.5v4.5a2.5 2.5 0 0 1-5 0V5A2.5 2.5 0 0 1 10 2.5zM4.5 9.5a5.5 5.5 0 0 0 11 0M10 15v2.5",
  discard: "M3.5 5.5h13M8 5.5v-2h4v2M5 5.5l.8 11h8.4l.8-11M8.3 9v4.5M11.7 9v4.5",
  play: "M6.5 4v12L16 10z",
  pause: "M6.5 4.5v11M13.5 4.5v11",
  save: "M10 3v9.5M6 9l4 4 4-4M3.5 16.5h13",
  file: "M5 2.5h6.5L15 6v11.5H5zM11 2.5V6.5h4",
  text: "M5 2.5h6.5L15 6v11.5H5zM11 2.5V6.5h4M7.5 10.5h5M7.5 13.5h3.5",
  picture: "M3 4h14v12H3zM3 13.5l4-4 3.5 3.5 2.5-2.5 4 4M12.8 7.3v.2",
  sound: "M7.5 15V4.5l8-1.5v10.5M7.5 15a2 2 0 1 1-4 0 2 2 0 0 1 4 0zM15.5 13.5a2 2 0 1 1-4 0 2 2 0 0 1 4 0z",
  film: "M3 4.5h14v11H3zM8.5 7.5v5l4-2.5z",
  archive: "M3.5 3.5h13v4h-13zM4.5 7.5v9h11v-9M8 10.5h4",
  phone: "M6.6 3 8.4 7 6.7 8.6a10.5 10.5 0 0 0 4.7 4.7L13 11.6l4 1.8v2.1a1.7 1.7 0 0 1-1.8 1.7C8.6 16.9 3.1 11.4 2.8 4.8A1.7 1.7 0 0 1 4.5 3z",
  camera: "M2.5 5.5h9.5v9H2.5zM12 9l5.5-3v8L12 11",
  "camera-off": "M5.5 5.5H12v6.5M12 9l5.5-3v8L14.5 12.4M10.5 14.5h-8v-9M3 2.5l14 15",
  muted: "M12.5 8V5a2.5 2.5 0 0 0-5 0v4.5a2.5 2.5 0 0 0 3.7 2.2M4.5 9.5a5.5 5.5 0 0 0 8.8 4.4M15.5 9.5a5.4 5.4 0 0 1-.5 2.2M10 15v2.5M3 2.5l14 15",
  devices: "M3 6h7M14 6h3M3 14h3M10 14h7M12 4v4M8 12v4",
  screen: "M2.5 4h15v10h-15zM7 17h6M10 11.5V7M8 8.7 10 6.7l2 2",
  pip: "M2.5 4.5h15v11h-15zM10 9.5h5v3.5h-5z",
  full: "M3.5 7.5v-4h4M12.5 3.5h4v4M16.5 12.5v4h-4M7.5 16.5h-4v-4",
  more: "M4.5 10v.1M10 10v.1M15.5 10v.1",
  numbers: "M3 16.5h14M5 13.5v-3M10 13.5v-9M15 13.5v-6",
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
