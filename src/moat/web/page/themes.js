// Colours of the terminal: as the browser's, light or dark.

const LIGHT = {
  background: "#ffffff", foreground: "#24292f", cursor: "#24292f", cursorAccent: "#ffffff",
  selectionBackground: "#b6d6fb",
  black: "#24292f", red: "#b3261e", green: "#116329", yellow: "#7d4e00",
  blue: "#0550ae", magenta: "#8250df", cyan: "#1b6f78", white: "#6e7781",
  brightBlack: "#57606a", brightRed: "#a40e26", brightGreen: "#1a7f37", brightYellow: "#633c01",
  brightBlue: "#0969da", brightMagenta: "#8250df", brightCyan: "#1f7a84", brightWhite: "#424a53",
};
const DARK = {
  background: "#15181c", foreground: "#d6dae0", cursor: "#d6dae0", cursorAccent: "#15181c",
  selectionBackground: "#35507a",
  black: "#2b3036", red: "#ff7b72", green: "#56c271", yellow: "#e0b050",
  blue: "#79b8ff", magenta: "#d2a8ff", cyan: "#65cfd8", white: "#c3c9d1",
  brightBlack: "#7d8590", brightRed: "#ffa198", brightGreen: "#7ee787", brightYellow: "#f2cc60",
  brightBlue: "#a5d6ff", brightMagenta: "#e2c5ff", brightCyan: "#9be9f0", brightWhite: "#f5f7fa",
};
const dark = matchMedia("(prefers-color-scheme: dark)");

/**
 * Call `use` with the colours of now, and whenever others are wanted; return what ends that.
 *
 * @param {(theme: typeof LIGHT) => void} use
 * @returns {() => void}
 */
export function followTheme(use) {
  const change = () => use(dark.matches ? DARK : LIGHT);
  change();
  dark.addEventListener("change", change);
  return () => dark.removeEventListener("change", change);
}
