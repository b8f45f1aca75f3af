// What the user types, on its way to the program: no more than a window that it has not read.

const WINDOW = 256 * 1024;
const PIECE = 32 * 1024;

export class Typing {
  /** @param {(data: Uint8Array) => void} send */
  constructor(send) {
    this.send = send;
    /** @type {Uint8Array[]} */
    this.waiting = [];
    this.sent = 0;
    this.consumed = 0;
  }

  /** @param {Uint8Array} data */
  type(data) {
    for (let start = 0; start < data.length; start += PIECE) {
      this.waiting.push(data.subarray(start, start + PIECE));
    }
    this.flush();
  }

  /** @param {number} total How much of all that was sent the program has taken. */
  took(total) {
    this.consumed = total;
    this.flush();
  }

  /** Begin anew, on another connection. */
  reset() {
    this.waiting = [];
    this.sent = this.consumed = 0;
  }

  flush() {
    while (this.waiting.length && this.sent - this.consumed + PIECE <= WINDOW) {
      const piece = /** @type {Uint8Array} */ (this.waiting.shift());
      this.sent += piece.length;
      this.send(piece);
    }
  }
}
