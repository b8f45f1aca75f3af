// Elements made of text. Nothing here, or anywhere else in the page, takes text for HTML: whatever a run has
// written is a text node.

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * Make an element. A property that begins with "on" is a listener, others are attributes; `false` and
 * `undefined` leave one out.
 *
 * @param {string} tag
 * @param {Record<string, unknown>} [properties]
 * @param {...Child} children
 * @returns {HTMLElement}
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) {
      made.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    } else if (value !== undefined && value !== false) {
      made.setAttribute(name, value === true ? "" : String(value));
    }
  }
  made.append(...children.filter(isShown).map(asNode));
  return made;
}

/**
 * Put new children in the place of all old ones.
 *
 * @param {Element} parent
 * @param {...Child} children
 */
export function fill(parent, ...children) {
  parent.replaceChildren(...children.filter(isShown).map(asNode));
}

/**
 * @param {Child} child
 * @returns {child is Node | string | number}
 */
function isShown(child) {
  return child !== null && child !== undefined && child !== false && child !== "";
}

/** @param {Node | string | number} child */
function asNode(child) {
  return child instanceof Node ? child : document.createTextNode(plain(String(child)));
}

/**
 * Return text on one line, with a space where a character isn't printable or turns the direction of others.
 *
 * @param {string} text
 */
export function plain(text) {
  return text.replace(/[\p{Cc}\p{Cs}\p{Co}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, " ");
}
