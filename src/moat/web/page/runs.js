// All runs, as the server tells them, and their questions.

import { Connection } from "./connection.js";

/**
 * @typedef {object} Run
 * @property {string} id
 * @property {string} name
 * @property {string} state
 * @property {boolean} ended
 * @property {number | null} exit_code
 * @property {string | null} error
 * @property {string} engine
 * @property {string} command
 * @property {string} program
 * @property {string} workspace
 * @property {boolean} tty
 * @property {boolean} interactive
 * @property {string} created_at
 * @property {string | null} stopped_at
 * @property {number} viewers
 * @property {string[]} waiting
 * @property {string} waits_for
 * @property {string} last_line
 * @property {number} requests
 * @property {number} denied
 * @property {number} tokens
 * @property {number} dollars
 * @property {number} unpriced
 */

/** @typedef {{run: string, name: string, text: string}} Question */

/**
 * @typedef {object} RunsListener
 * @property {() => void} changed
 * @property {(status: string) => void} status A few words about the connection.
 */

export class Runs {
  /** @param {RunsListener} listener */
  constructor(listener) {
    this.listener = listener;
    /** @type {Run[]} */
    this.all = [];
    this.leftOut = 0;
    this.known = false;
    this.readOnly = false;
    this.showsEnded = false;
    this.problem = "";
    /** @type {Map<string, Question[]>} */
    this.asked = new Map();
    /** @type {Map<string, string>} What waited when the questions of a run were asked for. */
    this.askedFor = new Map();
    this.connection = new Connection("/runs", {
      opened: (welcome) => this.opened(welcome),
      message: (message) => this.heard(message),
      closed: (why) => this.closed(why),
    });
  }

  /** @param {import("./connection.js").Message} welcome */
  opened(welcome) {
    this.readOnly = welcome.read_only;
    this.askedFor.clear();
    this.problem = "";
    if (this.showsEnded) this.connection.send({ type: "show_ended", shown: true });
    this.listener.status(this.readOnly ? "read-only" : "");
  }

  /** @param {import("./connection.js").Message} message */
  heard(message) {
    switch (message.type) {
      case "runs":
        this.all = message.runs;
        this.leftOut = message.left_out;
        this.known = true;
        this.ask();
        break;
      case "questions":
        this.asked.set(message.run, message.questions.map(
          (/** @type {{name: string, text: string}} */ each) => ({ run: message.run, ...each })));
        if (message.error) this.problem = message.error;
        break;
      case "answered":
        this.problem = message.error;
        this.askedFor.delete(message.run);
        this.ask();
        break;
      case "failed":
        this.problem = message.summary;
        break;
    }
    this.listener.changed();
  }

  /** @param {"lost" | "refused" | "done"} why */
  closed(why) {
    this.listener.status(why === "refused"
      ? "this page has been left behind: open the address that moat web has printed"
      : "no connection to moat web: trying again");
  }

  /** Ask for the questions of each run for which something else waits than the last time. */
  ask() {
    for (const run of this.all) {
      const waiting = run.waiting.join(" ");
      if (!waiting) {
        this.asked.delete(run.id);
        this.askedFor.delete(run.id);
      } else if (this.askedFor.get(run.id) !== waiting) {
        this.askedFor.set(run.id, waiting);
        this.connection.send({ type: "ask_questions", run: run.id });
      }
    }
  }

  /** @param {string} id */
  find(id) {
    return this.all.find((run) => run.id === id);
  }

  /** @returns {Question[]} */
  get questions() {
    return this.all.flatMap((run) => this.asked.get(run.id) ?? []);
  }

  /**
   * @param {Question} question
   * @param {boolean} allow
   */
  answer({ run, name }, allow) {
    this.connection.send({ type: "answer_question", run, name, allow });
  }

  /** @param {boolean} shown */
  showEnded(shown) {
    this.showsEnded = shown;
    this.connection.send({ type: "show_ended", shown });
  }
}
