// Numbers and times in few characters, as `moat top` shows them.

const MULTIPLES = /** @type {const} */ ([[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]);
const UNITS = /** @type {const} */ ([[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]]);

/** @param {number} count */
export function shortCount(count) {
  for (const [size, unit] of MULTIPLES) {
    if (count >= size * 0.9995) {
      const amount = count / size;
      return amount.toFixed(amount < 9.95 ? 1 : 0) + unit;
    }
  }
  return String(count);
}

/** @param {number} seconds */
export function shortAge(seconds) {
  for (const [size, unit] of UNITS) {
    if (seconds >= size) return Math.floor(seconds / size) + unit;
  }
  return "now";
}

/**
 * Return the tokens that a run has consumed, and their cost as far as it is known.
 *
 * @param {{tokens: number, dollars: number, unpriced: number}} use
 */
export function modelUse({ tokens, dollars, unpriced }) {
  if (!tokens) return "";
  const known = dollars || !unpriced ? `$${dollars.toFixed(2)}` : "$?";
  return `${shortCount(tokens)} ${known}${unpriced && dollars ? "+" : ""}`;
}

/** @param {{state: string, exit_code: number | null}} run */
export function stateOf({ state, exit_code }) {
  return exit_code === null ? state : `${state} (${exit_code})`;
}

/** @param {number} bytes */
export function shortBytes(bytes) {
  return bytes < 1000 ? `${bytes} B` : `${shortCount(bytes)}B`;
}

/** @param {number | null} seconds */
export function shortTime(seconds) {
  if (seconds === null) return "";
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;
}
