/** Where the small picture lies: in one of four corners. Pure. */

/** @typedef {"top-left" | "top-right" | "bottom-left" | "bottom-right"} Corner */

/**
 * The corner that is nearest to a point.
 * @param {number} x from 0 (left) to 1
 * @param {number} y from 0 (top) to 1
 * @returns {Corner}
 */
export function nearest(x, y) {
  return `${y < 0.5 ? "top" : "bottom"}-${x < 0.5 ? "left" : "right"}`;
}

/** @type {Record<string, [from: string, to: string]>} */
const WAYS = { ArrowUp: ["bottom", "top"], ArrowDown: ["top", "bottom"], ArrowLeft: ["right", "left"], ArrowRight: ["left", "right"] };

/**
 * The corner that an arrow key leads to; `null`: it is no arrow key.
 * @param {Corner} corner
 * @param {string} key
 */
export function towards(corner, key) {
  const way = WAYS[key];
  return way ? /** @type {Corner} */ (corner.replace(...way)) : null;
}

/**
 * Whether a picture is shown as in a mirror: one's own, as one knows oneself; not what stands behind the phone, and no screen.
 * @param {{ facingMode?: string }} settings of the track
 * @param {boolean} sharing
 */
export function mirrored({ facingMode }, sharing) {
  return !sharing && facingMode !== "environment" && facingMode !== "left" && facingMode !== "right";
}
