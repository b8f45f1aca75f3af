// One run: what is known of it, its terminal, and its network.

import { element, fill } from "./dom.js";
import { modelUse, shortAge, stateOf } from "./format.js";
import { Terminal } from "./terminal.js";
import { Traffic } from "./traffic.js";

const HELP = "Keys behind the prefix (Ctrl-/): d back to the list, a answer a question, ? this line.";

export class RunView {
  /**
   * @param {HTMLElement} place
   * @param {import("./runs.js").Runs} runs
   * @param {string} id
   */
  constructor(place, runs, id) {
    this.runs = runs;
    this.id = id;
    /** @type {Terminal | undefined} */
    this.terminal = undefined;
    /** @type {Traffic | undefined} */
    this.traffic = undefined;
    this.title = element("h1");
    this.facts = element("p", { class: "facts" });
    this.programTitle = element("span", { class: "title" });
    this.said = element("p", { class: "said", role: "status" });
    this.screen = element("div", { class: "screen" });
    this.network = element("section", { class: "network", hidden: true, tabindex: 0, "aria-label": "Network" });
    this.networkButton = element("button", {
      type: "button", "aria-expanded": "false", onclick: () => this.toggleNetwork(),
    }, "Network");
    this.lookOnly = /** @type {HTMLInputElement} */ (element("input", {
      type: "checkbox", id: "look-only", onchange: () => this.attach(),
    }));
    this.lookLabel = element("label", { for: "look-only" }, this.lookOnly, " look only");
    this.again = element("button", { type: "button", hidden: true, onclick: () => this.attach() }, "Attach again");
    fill(place,
      element("div", { class: "bar" }, element("a", { href: "#" }, "Runs"), this.title, this.facts,
        element("div", { class: "buttons" }, this.lookLabel, this.again, this.networkButton)),
      this.said, this.screen, this.network);
    this.draw();
  }

  /** Show what is known of the run now, and its terminal as soon as anything is. */
  draw() {
    const run = this.runs.find(this.id);
    fill(this.title, run?.name ?? (this.runs.known ? "this run" : ""));
    document.title = `${run?.name ?? "Run"} · Moat`;
    if (!run) {
      // One that has ended is known once those are listed, too.
      if (this.runs.known && !this.runs.showsEnded) this.runs.showEnded(true);
      else if (this.runs.known) this.say("There is no such run.");
      return;
    }
    const waits = run.waiting.length ? "network" : run.waits_for;
    const age = shortAge((Date.now() - Date.parse(run.created_at)) / 1000);
    fill(this.facts,
      element("span", { class: `state ${run.state}` }, stateOf(run)),
      waits && element("span", { class: "waits" }, `waits for you: ${waits}`),
      element("span", { class: "command" }, run.command),
      this.programTitle,
      element("span", {}, `${age} old`),
      element("span", {}, modelUse(run)));
    this.lookLabel.toggleAttribute("hidden", this.runs.readOnly || run.ended || !run.interactive);
    if (!this.terminal) this.attach();
  }

  attach() {
    const run = this.runs.find(this.id);
    if (!run) return;
    this.terminal?.close();
    fill(this.screen);
    this.again.hidden = true;
    this.say("");
    const readOnly = this.lookOnly.checked || this.runs.readOnly;
    this.terminal = new Terminal(this.screen, run, readOnly, {
      command: (command) => this.obey(command),
      said: (text) => this.say(text),
      titled: (title) => fill(this.programTitle, title),
      shown: (typing) => this.shown(typing),
    });
  }

  /** @param {boolean} typing */
  shown(typing) {
    this.screen.classList.toggle("typing", typing);
    const run = this.runs.find(this.id);
    this.again.hidden = Boolean(this.terminal?.live) || Boolean(run?.ended);
    if (this.terminal?.live) this.say("");
  }

  /** @param {string} text */
  say(text) {
    fill(this.said, text);
  }

  /** @param {string} command */
  obey(command) {
    switch (command) {
      case "leave":
        location.hash = "";
        break;
      case "answer": {
        const first = /** @type {HTMLElement | null} */ (document.querySelector("#questions button"));
        if (first) first.focus();
        else this.say("nothing waits for an answer");
        break;
      }
      case "help":
        this.say(HELP);
        break;
    }
  }

  toggleNetwork() {
    const shown = this.network.hidden;
    this.network.hidden = !shown;
    this.networkButton.setAttribute("aria-expanded", String(shown));
    if (shown) {
      this.traffic = new Traffic(this.network, this.id, (count) => {
        fill(this.networkButton, `Network (${count})`);
      });
    } else {
      this.traffic?.close();
      this.traffic = undefined;
    }
    this.terminal?.fit();
  }

  focus() {
    this.terminal?.focus();
  }

  close() {
    this.terminal?.close();
    this.traffic?.close();
  }
}
