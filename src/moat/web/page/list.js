// The list of runs: a row for each, which leads to its terminal.

import { element, fill } from "./dom.js";
import { modelUse, shortAge, stateOf } from "./format.js";

const COLUMNS = /** @type {const} */ ([
  ["name", "Name"], ["state", "State"], ["waits", "Waits for"], ["command", "Command"],
  ["net", "Net"], ["tokens", "Tokens"], ["age", "Age"], ["last", "Last line"],
]);

export class List {
  /**
   * @param {HTMLElement} place
   * @param {import("./runs.js").Runs} runs
   */
  constructor(place, runs) {
    this.runs = runs;
    this.body = element("tbody");
    /** @type {Map<string, HTMLElement>} */
    this.rows = new Map();
    this.note = element("p", { class: "note" });
    this.ended = /** @type {HTMLInputElement} */ (element("input", {
      type: "checkbox", id: "ended", onchange: () => runs.showEnded(this.ended.checked),
    }));
    this.ended.checked = runs.showsEnded;
    const heads = COLUMNS.map(([key, title]) => element("th", { scope: "col", class: key }, title));
    fill(place,
      element("div", { class: "bar" },
        element("h1", {}, "Runs"),
        element("label", { for: "ended" }, this.ended, " also those that have ended")),
      element("table", { class: "runs" }, element("thead", {}, element("tr", {}, ...heads)), this.body),
      this.note);
    this.body.addEventListener("keydown", (event) => this.pressed(event));
    this.timer = setInterval(() => this.draw(), 10_000); // they grow older
    this.draw();
  }

  /** Draw what has changed. A link stays the same element, with its focus, and with a click that has begun. */
  draw() {
    const focused = document.activeElement?.getAttribute("data-run");
    const wanted = this.runs.all.map((run) => this.row(run));
    if (wanted.length !== this.body.children.length || wanted.some((row, at) => row !== this.body.children[at])) {
      fill(this.body, ...wanted);
    }
    const shown = new Set(this.runs.all.map((run) => run.id));
    for (const id of this.rows.keys()) if (!shown.has(id)) this.rows.delete(id);
    const more = this.runs.leftOut;
    fill(this.note, !this.runs.known ? "" : !this.runs.all.length ? "No runs. Start one: moat run -- COMMAND"
      : more ? `${more} older runs are not shown.` : "");
    if (focused && document.activeElement === document.body) this.link(focused)?.focus();
  }

  /**
   * @param {import("./runs.js").Run} run
   * @returns {HTMLElement}
   */
  row(run) {
    let row = this.rows.get(run.id);
    if (!row) {
      const link = element("a", { href: `#run=${run.id}`, "data-run": run.id }, run.name);
      row = element("tr", {}, cell("name", link));
      this.rows.set(run.id, row);
    }
    row.classList.toggle("ended", run.ended);
    while (row.children.length > 1) row.lastChild?.remove();
    row.append(...cells(run));
    return row;
  }

  /**
   * @param {string} id
   * @returns {HTMLElement | null}
   */
  link(id) {
    return this.body.querySelector(`[data-run="${CSS.escape(id)}"]`);
  }

  /**
   * Arrow keys, and j and k, go from run to run.
   *
   * @param {KeyboardEvent} event
   */
  pressed(event) {
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
    if (!step || event.ctrlKey || event.altKey || event.metaKey) return;
    const links = /** @type {HTMLElement[]} */ ([...this.body.querySelectorAll("a")]);
    const at = links.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    links[Math.min(Math.max(at + step, 0), links.length - 1)]?.focus();
    event.preventDefault();
  }

  focus() {
    this.body.querySelector("a")?.focus();
  }

  close() {
    clearInterval(this.timer);
  }
}

/** @param {import("./runs.js").Run} run */
function cells(run) {
  const waits = run.waiting.length ? "network" : run.waits_for;
  const seconds = (Date.now() - Date.parse(run.created_at)) / 1000;
  const net = run.denied ? `${run.requests}/${run.denied}` : run.requests || "";
  return [
    cell(`state ${run.state}`, stateOf(run)),
    cell("waits", waits),
    cell("command", run.program),
    cell(run.denied ? "net denied" : "net", net),
    cell("tokens", modelUse(run)),
    cell("age", shortAge(seconds)),
    cell("last", run.error || run.last_line),
  ];
}

/**
 * @param {string} kind
 * @param {import("./dom.js").Child} content
 */
function cell(kind, content) {
  return element("td", { class: kind }, content);
}
