// The secret of this page: behind the # of its address when it is opened, and from then on in this tab alone.

const KEY = "moat";

/** Take the secret out of the address, where it would stay in the browser's history. */
export function takeFromAddress() {
  const given = location.hash.slice(1);
  if (given && !given.includes("=")) {
    sessionStorage.setItem(KEY, given);
    history.replaceState(null, "", location.pathname);
  }
}

/** @returns {string} */
export function secret() {
  return sessionStorage.getItem(KEY) ?? "";
}

/** @param {string} token */
export function keep(token) {
  sessionStorage.setItem(KEY, token);
}
