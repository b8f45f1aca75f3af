// The questions of all runs, above everything else, each with its two answers.

import { element, fill } from "./dom.js";

/**
 * How long a new order of the questions is looked at before an answer counts. The runs decide when their questions
 * come and go, and could put one in the place of another just before a click.
 */
const LOOK_MS = 600;

/** @type {ReturnType<typeof setTimeout> | undefined} */
let looking;

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
  clearTimeout(looking);
  looking = setTimeout(() => {
    for (const each of place.querySelectorAll("button")) each.removeAttribute("aria-disabled");
  }, LOOK_MS);
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
      "aria-disabled": "true",
      onclick: (/** @type {Event} */ event) => {
        const button = /** @type {Element} */ (event.currentTarget);
        if (!button.hasAttribute("aria-disabled")) runs.answer(question, allow);
      },
    }, word);
  };
  return element("div", { class: "question" },
    element("p", {}, element("b", {}, run?.name), " ", element("span", {}, question.text)),
    runs.readOnly ? null : element("div", { class: "answers" }, answer(true), answer(false)));
}
