// A WebSocket that shows the secret first, and comes back by itself when it breaks.

import { keep, secret } from "./secret.js";

/** The close code for a page that has another server's secret. */
const WRONG_SECRET = 4401;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;

/** @typedef {{type: string, [field: string]: any}} Message */

/**
 * @typedef {object} Listener
 * @property {(message: Message) => void} message A message has come.
 * @property {(data: Uint8Array) => void} [bytes] Bytes have come.
 * @property {(welcome: Message) => void} opened The server has admitted this page.
 * @property {(why: "lost" | "refused" | "done") => void} closed
 *   The connection is gone: it comes back if it was lost, and doesn't if it was refused or is done.
 */

export class Connection {
  /**
   * @param {string} path
   * @param {Listener} listener
   */
  constructor(path, listener) {
    this.path = path;
    this.listener = listener;
    this.pause = FIRST_PAUSE_MS;
    this.ended = false;
    /** @type {WebSocket | undefined} */
    this.socket = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.open();
  }

  open() {
    const socket = new WebSocket(`ws://${location.host}${this.path}`);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => socket.send(JSON.stringify({ type: "opening", secret: secret() }));
    socket.onmessage = ({ data }) => this.received(data);
    socket.onclose = ({ code }) => this.closed(code);
    this.socket = socket;
  }

  /** @param {string | ArrayBuffer} data */
  received(data) {
    if (this.ended) return;
    if (typeof data !== "string") {
      this.listener.bytes?.(new Uint8Array(data));
      return;
    }
    const message = JSON.parse(data);
    if (message.type === "welcome") {
      this.pause = FIRST_PAUSE_MS;
      keep(message.token);
      this.listener.opened(message);
    } else {
      this.listener.message(message);
    }
  }

  /** @param {number} code */
  closed(code) {
    if (this.ended) return;
    if (code === WRONG_SECRET) {
      this.ended = true;
      this.listener.closed("refused");
      return;
    }
    this.listener.closed("lost");
    this.timer = setTimeout(() => this.open(), this.pause);
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE_MS);
  }

  /** @param {Message} message */
  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  /** @param {Uint8Array} data */
  sendBytes(data) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(data);
  }

  /** End it: nothing more is heard of it, and it doesn't come back. */
  close() {
    this.ended = true;
    clearTimeout(this.timer);
    this.socket?.close();
  }
}
