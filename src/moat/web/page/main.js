// The page: the list of runs, or one of them, as the address says.

import { fill } from "./dom.js";
import { List } from "./list.js";
import { drawQuestions } from "./questions.js";
import { RunView } from "./run.js";
import { Runs } from "./runs.js";
import { takeFromAddress } from "./secret.js";
import { allowStyleSheets } from "./xterm_styles.js";

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
const status = /** @type {HTMLElement} */ (document.getElementById("status"));
const questions = /** @type {HTMLElement} */ (document.getElementById("questions"));

takeFromAddress();
allowStyleSheets();

/** @type {List | RunView | undefined} */
let view;
const runs = new Runs({
  changed: () => {
    drawQuestions(questions, runs);
    view?.draw();
  },
  status: (text) => fill(status, text),
});

function show() {
  view?.close();
  fill(main);
  const id = new URLSearchParams(location.hash.slice(1)).get("run");
  main.className = id ? "one" : "all";
  document.title = "Moat";
  view = id ? new RunView(main, runs, id) : new List(main, runs);
  view.focus();
}

addEventListener("hashchange", show);
show();
