# ruff: noqa: RUF001  the screens have the characters that agents draw
"""Whether a run waits for its user: reports, notifications, and screens that agents have drawn."""

from __future__ import annotations

import time

import pytest

from moat.agents import catalog
from moat.agents.waiting import ANSWER_S, ATTENTION, KINDS, Waiting
from moat.spec import WaitRule

RULE = "─" * 100
CLAUDE = {
    "permission": f"""\
● Let me see.
  ⎿  $ touch made.txt && echo hello
{RULE}
 Bash command
 Do it
 touch made.txt && echo hello
 Do you want to proceed?
 ❯ 1. Yes
   2. Yes, and always allow access to /workspace from this project
   3. Yes, and switch to auto mode · auto mode handles these prompts for you
   4. No
 Esc to cancel · Tab to amend""",
    "question": f"""\
❯ ASK me
{RULE}
 ☐ Colour
Which colour?
❯ 1. Red
     Red
  2. Blue
     Blue
  3. Type something.
{RULE}
  4. Chat about this
Enter to select · ↑/↓ to navigate · Esc to cancel""",
    "error": f"""\
❯ REFUSED please
● API Error: 400 the model refuses this
         Switched to Manual because your organization's settings didn't load · Shift+Tab to switch
{RULE}
❯
{RULE}
  ⏸ manual mode on · ? for shortcuts""",
    "done": f"""\
● API Error: 400 the model refuses this
❯ RUN:touch made.txt && echo hello
● All done. The tool said: hello
✻ Cooked for 3s · done 1:22 PM
{RULE}
❯
{RULE}
  ⏵⏵ bypass permissions on (shift+tab to cycle)""",
    "": f"""\
❯ STREAM please
● word0 word1 word2 word3 word4 word5 word6 word7 word8 word9 word10 word11 word12 word13 word14
✢ Puttering… (4s · ↓ 2 tokens)
{RULE}
❯
{RULE}
  ⏵⏵ bypass permissions on (shift+tab to cycle) · esc to interrupt""",
}
GEMINI_INPUT = f"""\
                                                                                    ? for shortcuts
{RULE}
 YOLO Ctrl+Y                                                                         1 context file
{"▄" * 100}
 *   Type your message or @path/to/file
{"▀" * 100}
 workspace (/directory)                  branch                  sandbox                     /model
 /workspace                              main                    no sandbox                    Auto"""
GEMINI = {
    "permission": (
        "✋  Action Required (workspace)",
        "│ ? Shell  touch made.txt │\n│ Allow execution of [Shell]? │\n│ ● 1. Allow once │",
    ),
    "question": (
        "✋  Action Required (workspace)",
        "│ Answer Questions │\n│ Which colour? │\n│ Enter to select · ↑/↓ to navigate │",
    ),
    "error": (
        "◇  Ready (workspace)",
        '✕ [API Error: {"type":"error"}]\nℹ This request failed. Press F12 for diagnostics, or run'
        ' /settings and change "Error Verbosity" to\n  full for full details.\n' + GEMINI_INPUT,
    ),
    "done": ("◇  Ready (workspace)", "✦ All done.\n" + GEMINI_INPUT),
    "": ("✦  Working… (workspace)", GEMINI_INPUT),
}


COPILOT_INPUT = f"""\
 /workspace [⎇ main%]
{RULE}
┃
{RULE}
"""
COPILOT_READY = " Interactive · Allow All · / commands · ? help        claude-sonnet-4.5"
OTHERS = {
    "copilot": {
        "permission": "│ Do you want to run this command? │\n│ ❯ 1. Yes │\n│   2. No │\n│ to navigate │",
        "error": f" ✗ 400 the model refuses this\n{COPILOT_INPUT}{COPILOT_READY}",
        "done": f" ● All done.\n{COPILOT_INPUT}{COPILOT_READY}",
        "": f" ● Let me see.\n{COPILOT_INPUT} ◎ Working · 82 B esc esc interrupt",
    },
    "opencode": {
        "done": f"  ┃  Build auto\n{RULE}\n       tab agents  ctrl+p commands\n  /workspace:main",
        "": f"  ┃  Build auto\n{RULE}\n   ⬝⬝  esc interrupt   tab agents  ctrl+p commands",
    },
    "pi": {
        "done": f" All done.\n{RULE}\n{RULE}\n/workspace (main)\n↑100 ↓50 0.0%/1.0M (auto)   claude",
        "": f" Elapsed 1.1s\n ⠼ Working...\n{RULE}\n{RULE}\n/workspace\n0.0%/1.0M (auto)   claude",
    },
}


def looked(waiting: Waiting, text: str, title: str = "", *, quiet: bool = True) -> str:
    waiting.looked(title, text.split("\n"), quiet=quiet)
    return waiting.now


@pytest.mark.parametrize("kind", CLAUDE)
def test_the_screens_of_claude_code(kind: str) -> None:
    """By its rules alone, as for a supervisor that has missed its reports."""
    rules = catalog.AGENTS.load(catalog.AGENTS.shipped / "claude.yaml").waiting
    assert looked(Waiting(rules), CLAUDE[kind], "✳ Claude Code") == kind


@pytest.mark.parametrize("kind", GEMINI)
def test_the_screens_of_gemini_cli(kind: str) -> None:
    """By its title, and by its screen where that says no more than that it wants something."""
    rules = catalog.AGENTS.load(catalog.AGENTS.shipped / "gemini.yaml").waiting
    title, text = GEMINI[kind]
    assert looked(Waiting(rules), text, title) == kind


@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name, screens in OTHERS.items() for kind in screens]
)
def test_the_screens_of_other_agents(name: str, kind: str) -> None:
    """By what is on them, and for Pi by its title as well."""
    rules = catalog.AGENTS.load(catalog.AGENTS.shipped / f"{name}.yaml").waiting
    assert looked(Waiting(rules), OTHERS[name][kind], "π - workspace") == kind


DONE = WaitRule(kind="done", screen=("> *ready",), without=("busy",))


def test_a_screen_that_is_half_drawn_begins_no_wait() -> None:
    """It may end one, for an agent that works never stops drawing."""
    waiting = Waiting((DONE,))
    assert looked(waiting, "> I am ready", quiet=False) == ""
    assert looked(waiting, "> I am ready") == "done"
    assert looked(waiting, "> I am ready", quiet=False) == "done"
    assert looked(waiting, "> I am ready\nbusy", quiet=False) == ""


def test_all_signs_of_a_rule_have_to_hold() -> None:
    """Its last lines count, and a notification until the user types."""
    rule = WaitRule(kind="question", screen=("a", "b"), title="T", notification="look", lines=2)
    waiting = Waiting((rule,))
    assert looked(waiting, "a\nb", "T") == ""
    waiting.notified("please look", at=1)
    assert looked(waiting, "a\nb", "T") == "question"
    assert looked(waiting, "a\nb\nc", "T") == ATTENTION
    assert looked(waiting, "a\nb", "other") == ATTENTION
    assert waiting.typed()
    assert looked(waiting, "a\nb", "T") == ""


def test_a_bell_wants_the_user_of_any_command() -> None:
    """Until they type; one that answers a key means nothing."""
    waiting = Waiting()
    assert waiting.notified("", at=1)
    assert waiting.now == ATTENTION
    assert not waiting.notified("again", at=2)
    assert waiting.typed(key_at=3)
    assert waiting.now == ""
    assert not waiting.notified("", at=3 + ANSWER_S / 2)
    assert waiting.notified("built", at=3 + ANSWER_S / 2)
    assert waiting.typed()
    assert waiting.notified("", at=4)


@pytest.mark.parametrize(
    ("report", "kind"),
    [
        ("state=idle:app=codex", "done"),
        ("state=done:app=codex", "done"),
        ("state=working:progress=3", ""),
        ("state=error:msg=QQ==", "error"),
        ("state=blocked:app=claude-code:kind=permission:msg=QQ==", "permission"),
        ("state=blocked:kind=auth", "question"),
        ("state=blocked:kind=later", ATTENTION),
        ("state=blocked", ATTENTION),
    ],
)
def test_a_report_is_believed(report: str, kind: str) -> None:
    """Neither the screen nor a bell says more, and what the user types doesn't answer it."""
    waiting = Waiting((DONE,))
    waiting.reported(report)
    assert waiting.now == kind
    assert looked(waiting, "> ready") == kind
    waiting.notified("", at=1)
    waiting.typed(key_at=2)
    assert waiting.now == kind


@pytest.mark.parametrize("report", ["", "x", "state=later", "state=blocked:id=1", "=", "state"])
def test_a_report_that_says_nothing_is_ignored(report: str) -> None:
    """It is of a newer program, of one task of several, or nonsense."""
    waiting = Waiting()
    assert not waiting.reported(report)
    assert waiting.now == ""


def test_a_report_may_be_taken_back() -> None:
    """Then the rules count again."""
    waiting = Waiting((DONE,))
    waiting.reported("state=error")
    assert waiting.reported("state=clear")
    assert looked(waiting, "> ready") == "done"


@pytest.mark.parametrize("kind", KINDS)
def test_what_another_supervisor_knew_holds(kind: str) -> None:
    """Until the program, or the user, says something newer."""
    waiting = Waiting(now=kind)
    assert waiting.now == kind
    assert waiting.typed() == (kind == ATTENTION)
    assert waiting.reported("state=working") == (kind != ATTENTION)
    assert waiting.now == ""


def test_hostile_text_takes_no_time() -> None:
    """Signs with many wildcards over long lines are searched in linear time."""
    rule = WaitRule(kind="done", screen=("a*" * 50 + "b",), lines=60)
    began = time.process_time()
    assert looked(Waiting((rule,)), "\n".join(["a" * 100_000] * 100)) == ""
    assert time.process_time() - began < 5
