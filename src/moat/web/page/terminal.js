// One terminal of a run: xterm.js at one end, a viewer of the run's session at the other.

import { Connection } from "./connection.js";
import { followTheme } from "./themes.js";
import { Typing } from "./typing.js";
import { Terminal as XTerm } from "./vendor/xterm/xterm.mjs";
import { FitAddon } from "./vendor/xterm/addon-fit.mjs";

const SCROLLBACK = 5000;
const CONTROLS = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]/g;
const CTRL_SLASH = Uint8Array.of(0x1f);
const FONT = 'ui-monospace, "DejaVu Sans Mono", "Liberation Mono", Menlo, Consolas, monospace';

/**
 * @typedef {object} TerminalListener
 * @property {(command: string) => void} command The user has typed a command of Moat's.
 * @property {(text: string) => void} said A line about the session, for the user.
 * @property {(title: string) => void} titled The program has chosen a title.
 * @property {(typing: boolean) => void} shown The session is shown; what is typed reaches it, or doesn't.
 */

export class Terminal {
  /**
   * @param {HTMLElement} place
   * @param {import("./runs.js").Run} run
   * @param {boolean} readOnly
   * @param {TerminalListener} listener
   */
  constructor(place, run, readOnly, listener) {
    this.place = place;
    this.run = run;
    this.readOnly = readOnly;
    this.listener = listener;
    this.live = true;
    this.typing = new Typing((data) => this.connection.sendBytes(data));
    this.xterm = new XTerm({
      convertEol: !run.tty,
      disableStdin: true,
      fontFamily: FONT,
      fontSize: 14,
      linkHandler: { activate: (_, address) => follow(address), allowNonHttpProtocols: false },
      scrollback: SCROLLBACK,
      screenReaderMode: false,
    });
    this.fitting = new FitAddon();
    this.xterm.loadAddon(this.fitting);
    this.xterm.open(place);
    this.stopTheme = followTheme((theme) => { this.xterm.options.theme = theme; });
    this.xterm.attachCustomKeyEventHandler((event) => this.isForXterm(event));
    this.xterm.onData((text) => this.typing.type(new TextEncoder().encode(text)));
    this.xterm.onTitleChange((title) => this.listener.titled(title));
    this.xterm.onBinary((text) => this.typing.type(Uint8Array.from(text, (each) => each.charCodeAt(0))));
    this.pastes = (/** @type {ClipboardEvent} */ event) => this.paste(event);
    place.addEventListener("paste", this.pastes, true);
    this.connection = new Connection("/terminal", {
      opened: () => this.opened(),
      bytes: (data) => this.draw(data),
      message: (message) => this.heard(message),
      closed: (why) => this.closed(why),
    });
    this.xterm.onResize(() => this.connection.send({ type: "resize", ...this.size() }));
    this.watched = new ResizeObserver(() => this.fit());
    this.watched.observe(place);
  }

  opened() {
    this.live = true;
    this.place.classList.remove("fixed");
    this.typing.reset();
    this.xterm.reset();
    this.fit();
    this.connection.send({
      type: "open_terminal", run: this.run.id, read_only: this.readOnly, ...this.size(),
    });
  }

  /** @param {Uint8Array} data */
  draw(data) {
    this.xterm.write(data, () => this.connection.send({ type: "drawn", bytes: data.length }));
  }

  /** @param {import("./connection.js").Message} message */
  heard(message) {
    switch (message.type) {
      case "shown":
        this.live = message.live;
        this.xterm.options.disableStdin = !message.typing;
        this.listener.shown(message.typing);
        if (message.typing) this.xterm.focus();
        break;
      case "size":
        this.place.classList.add("fixed");
        this.xterm.resize(message.columns, message.rows);
        break;
      case "consumed":
        this.typing.took(message.bytes);
        break;
      case "command":
        this.listener.command(message.command);
        break;
      case "notice":
        this.listener.said(message.text);
        break;
      case "exited":
        this.end(message.exit_code === null ? `${message.state}: ${message.because}`
          : `ended with exit code ${message.exit_code}${message.because && `: ${message.because}`}`);
        break;
      case "detached":
        this.end(message.reason || "detached");
        break;
      case "failed":
        this.end([message.summary, message.hint].filter(Boolean).join(". "));
        break;
    }
  }

  /** @param {"lost" | "refused" | "done"} why */
  closed(why) {
    this.xterm.options.disableStdin = true;
    if (why === "lost") this.listener.said("the connection is lost, and tried again");
  }

  /** @param {string} why */
  end(why) {
    this.live = false;
    this.xterm.options.disableStdin = true;
    this.connection.close();
    this.listener.shown(false);
    this.listener.said(why);
  }

  /**
   * Tell whether xterm.js is to see a key.
   *
   * @param {KeyboardEvent} event
   */
  isForXterm(event) {
    if (this.xterm.options.disableStdin) return false; // Tab and the like are the browser's
    if (event.key !== "/" || !event.ctrlKey || event.altKey || event.metaKey) return true;
    // Terminals send Ctrl-_ for it, and xterm.js nothing.
    if (event.type === "keydown") this.typing.type(CTRL_SLASH);
    event.preventDefault();
    return false;
  }

  /**
   * Type what was pasted. xterm.js would leave in it what ends a paste early, and then types.
   *
   * @param {ClipboardEvent} event
   */
  paste(event) {
    event.preventDefault();
    event.stopImmediatePropagation();
    const text = event.clipboardData?.getData("text/plain") ?? "";
    if (!this.xterm.options.disableStdin) this.xterm.paste(text.replace(CONTROLS, ""));
  }

  fit() {
    if (this.live && this.place.offsetParent !== null) this.fitting.fit();
  }

  size() {
    const { cols: columns, rows } = this.xterm;
    return { columns, rows };
  }

  focus() {
    this.xterm.focus();
  }

  close() {
    this.connection.close();
    this.watched.disconnect();
    this.place.removeEventListener("paste", this.pastes, true);
    this.stopTheme();
    this.xterm.dispose();
  }
}

/**
 * Follow a link of the program's, which the user has clicked, once they have seen where it leads.
 *
 * @param {string} address
 */
function follow(address) {
  let url;
  try {
    url = new URL(address);
  } catch {
    return;
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") return;
  if (confirm(`The program links to\n\n${url.href}\n\nOpen it?`)) {
    open(url.href, "_blank", "noopener,noreferrer");
  }
}
