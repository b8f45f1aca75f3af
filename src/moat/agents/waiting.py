"""The wait of a run for its user, and what for. Pure.

    reports of its status ─┐
    screen, title ─────────┤
    notifications ─────────┼──▶ Waiting ──▶ "", permission, question, error, done, attention
    the user types ────────┘

A program that reports its status (OSC 7501) is believed. Else an agent is known to wait by the rules of
its data. For any other command a bell or a notification counts, as `attention`, and nothing else does.
All of this is the program's own word, which may be hostile: it can claim to wait, and no more.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, get_args

from moat.spec.agent import AgentWait

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moat.spec import WaitRule

ATTENTION: Final = "attention"
"""The program wants its user, for a reason that isn't known."""
KINDS: Final = (*get_args(AgentWait), ATTENTION)
"""The things that a run may wait for."""
MOST_LINES: Final = 60
"""The most last lines of a screen that a rule may be about."""
ANSWER_S: Final = 1.0
"""A bell so soon after a key is the program's answer to that key."""
_MOST_CHARACTERS: Final = 400
"""The most characters of a line, a title or a notification that are looked at."""


_STATES: Final = {"idle": "done", "working": "", "blocked": "", "done": "done", "error": "error"}
_BLOCKED: Final = {"permission": "permission", "question": "question", "auth": "question"}
"""The thing waited for, by the kind of a report that the program is blocked."""


class Waiting:
    """The wait of one run. Each call that may change it returns whether it has."""

    def __init__(self, rules: Sequence[WaitRule] = (), now: str = "") -> None:
        """`now`: what is known of earlier, from another supervisor."""
        self._rules = rules
        self.now = now
        """One of `KINDS`, or empty where the run waits for nobody."""
        self._notification = "" if now == ATTENTION else None
        """The newest notification, empty for a bell; `None` where the user has typed since."""
        self._key_at = -math.inf
        self._reported = None if rules or now in ("", ATTENTION) else now
        """The program's last report; `None` where the program reports nothing."""

    def reported(self, status: str) -> bool:
        """Note a report of the program's status, of which `status` is the body."""
        parts = (each.partition("=") for each in status.split(":"))
        fields = {name: value for name, _, value in parts}
        if "id" in fields:  # one of several tasks, which says nothing about the program as a whole
            return False
        state, kind = fields.get("state", ""), fields.get("kind", "")
        if state == "clear":
            self._reported = None
            return self._become("")
        if state not in _STATES:
            return False
        self._reported = _BLOCKED.get(kind, ATTENTION) if state == "blocked" else _STATES[state]
        return self._become(self._reported)

    def notified(self, text: str, at: float) -> bool:
        """Note a notification of the program, or a bell where it has no text; `at` in seconds."""
        if not text and at - self._key_at < ANSWER_S:
            return False
        self._notification = text[:_MOST_CHARACTERS]
        return not self._rules and self._reported is None and self._become(ATTENTION)

    def typed(self, key_at: float = -math.inf) -> bool:
        """Note that the program got input: whatever it wanted, its user knows of it.

        `key_at` is the time, in seconds, where somebody has pressed a key.
        """
        self._key_at = key_at
        self._notification = None
        return self.now == ATTENTION and self._reported is None and self._become("")

    def looked(self, title: str, lines: Sequence[str], *, quiet: bool) -> bool:
        """Judge by the title and by the screen's lines that aren't empty, from the top.

        While the program still writes (not `quiet`), the screen may be half drawn: that may end a wait,
        or turn one into another, but begins none.
        """
        if self._reported is not None:
            return False
        lines = [line[:_MOST_CHARACTERS] for line in lines[-MOST_LINES:]]
        title = title[:_MOST_CHARACTERS]
        found = next((rule.kind for rule in self._rules if self._holds(rule, title, lines)), "")
        if not found and self._notification is not None:
            found = ATTENTION
        return (quiet or not found or bool(self.now)) and self._become(found)

    def _become(self, now: str) -> bool:
        before, self.now = self.now, now
        return now != before

    def _holds(self, rule: WaitRule, title: str, lines: Sequence[str]) -> bool:
        last = lines[-rule.lines :]
        return (
            (not rule.title or _shows(title, rule.title))
            and (not rule.notification or self._was_notified(rule.notification))
            and all(any(_shows(line, sign) for line in last) for sign in rule.screen)
            and not any(_shows(line, sign) for line in last for sign in rule.without)
        )

    def _was_notified(self, sign: str) -> bool:
        return self._notification is not None and _shows(self._notification, sign)


def _shows(text: str, sign: str) -> bool:
    """Return whether `sign`, in which `*` stands for any text, is part of a text, in linear time."""
    at = 0
    for part in sign.split("*"):
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return True
