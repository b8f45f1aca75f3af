// xterm.js makes style sheets while it runs. The page's policy takes those alone that carry the number of this
// response, which the page has from the server.

const nonce = document.querySelector("style")?.nonce ?? "";

/** The document, as xterm.js sees it: style sheets made there carry the number. */
export function allowStyleSheets() {
  const make = document.createElement.bind(document);
  document.createElement = (/** @type {string} */ tag, /** @type {any} */ options) => {
    const made = make(tag, options);
    if (tag === "style") made.nonce = nonce;
    return made;
  };
}
