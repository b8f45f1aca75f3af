// What goes over the network of one run, as it happens.

import { Connection } from "./connection.js";
import { element, fill } from "./dom.js";
import { shortBytes, shortTime } from "./format.js";

const MOST_ROWS = 500;

export class Traffic {
  /**
   * @param {HTMLElement} place
   * @param {string} run
   * @param {(count: number) => void} counted
   */
  constructor(place, run, counted) {
    this.run = run;
    this.counted = counted;
    this.place = place;
    this.body = element("tbody");
    this.note = element("p", { class: "note" }, "nothing yet");
    this.skipped = 0;
    /** @type {Map<number, HTMLElement>} */
    this.rows = new Map();
    const heads = ["Time", "Verdict", "Status", "Request", "Took", "Bytes", "Rule"];
    fill(place,
      element("table", { class: "traffic" },
        element("thead", {}, element("tr", {}, ...heads.map((each) => element("th", { scope: "col" }, each)))),
        this.body),
      this.note);
    this.connection = new Connection("/traffic", {
      opened: () => this.opened(),
      message: (message) => this.heard(message),
      closed: () => {},
    });
  }

  opened() {
    this.rows.clear();
    fill(this.body);
    this.skipped = 0;
    this.connection.send({ type: "open_traffic", run: this.run });
  }

  /** @param {import("./connection.js").Message} message */
  heard(message) {
    if (message.type === "failed") {
      fill(this.note, message.summary);
      this.connection.close();
      return;
    }
    const atEnd = this.place.scrollTop + this.place.clientHeight >= this.place.scrollHeight - 40;
    this.skipped += message.skipped;
    for (const each of message.rows) this.put(each);
    for (const [id, row] of this.rows) {
      if (this.rows.size <= MOST_ROWS) break;
      row.remove();
      this.rows.delete(id);
      this.skipped += 1;
    }
    fill(this.note, this.skipped ? `${this.skipped} older entries are left out: moat trace has them` : "");
    this.counted(this.rows.size + this.skipped);
    if (atEnd) this.place.scrollTop = this.place.scrollHeight;
  }

  /** @param {any} entry */
  put(entry) {
    const drawn = row(entry);
    const before = this.rows.get(entry.id);
    this.rows.set(entry.id, drawn);
    if (before) before.replaceWith(drawn);
    else this.body.append(drawn);
  }

  close() {
    this.connection.close();
  }
}

/** @param {any} entry */
function row(entry) {
  const time = new Date(entry.time).toLocaleTimeString([], { hour12: false });
  const what = entry.method ? `${entry.method} ${entry.url}` : `${entry.kind} ${entry.url || entry.host}`;
  const state = entry.in_progress && entry.verdict === "allowed" ? "open" : entry.verdict;
  const cells = [
    time, state, entry.status, what, shortTime(entry.durations.total),
    entry.sent || entry.received ? `${shortBytes(entry.sent)} / ${shortBytes(entry.received)}` : "",
    entry.error ? `${entry.rule ? `${entry.rule}: ` : ""}${entry.error}` : entry.rule,
  ];
  const kinds = ["time", "verdict", "status", "what", "took", "bytes", "rule"];
  return element("tr", { class: entry.verdict }, ...cells.map(
    (each, at) => element("td", { class: kinds[at] }, each)));
}
