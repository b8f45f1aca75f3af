// The questions of all runs, above everything else, each with its two answers.

import { element, fill } from "./dom.js";

/**
 * @param {Element} place
 * @param {import("./runs.js").Runs} runs
 */
export function drawQuestions(place, runs) {
  const questions = runs.questions;
  const drawn = JSON.stringify([questions, runs.problem, runs.readOnly]);
  if (place.getAttribute("data-drawn") === drawn) return; // a button that has the focus keeps it
  place.setAttribute("data-drawn", drawn);
  const focused = document.activeElement?.getAttribute("data-key");
  place.toggleAttribute("hidden", !questions.length && !runs.problem);
  fill(
    place,
    ...questions.map((question) => row(runs, question)),
    runs.problem && element("p", { class: "problem", role: "alert" }, runs.problem),
  );
  if (focused) {
    /** @type {HTMLElement | null} */ (place.querySelector(`[data-key="${CSS.escape(focused)}"]`))?.focus();
  }
}

/**
 * @param {import("./runs.js").Runs} runs
 * @param {import("./runs.js").Question} question
 */
function row(runs, question) {
  const run = runs.find(question.run);
  /** @param {boolean} allow */
  const answer = (allow) => {
    const word = allow ? "Allow" : "Deny";
    return element("button", {
      type: "button",
      class: allow ? "allow" : "deny",
      "data-key": `${question.run} ${question.name} ${word}`,
      "aria-label": `${word}: ${run?.name}: ${question.text}`,
      onclick: () => runs.answer(question, allow),
    }, word);
  };
  return element("div", { class: "question" },
    element("p", {}, element("b", {}, run?.name), " ", element("span", {}, question.text)),
    runs.readOnly ? null : element("div", { class: "answers" }, answer(true), answer(false)));
}
