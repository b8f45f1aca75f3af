"""Questions that wait for the user's answer in an attached terminal, and the effect of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moat.egress.policy.decision import Verdict
from moat.errors import RunNotActiveError
from moat.spec.hosts import endpoint

if TYPE_CHECKING:
    from moat.events import Peer
    from moat.supervisor.run import Supervisor

_CLIPBOARD: Final = "clipboard"
_LIMIT: Final = "limit "
_ABOUT_CLIPBOARD: Final = "May the program write to your clipboard, as long as the run lasts?"


def waiting(supervisor: Supervisor) -> list[dict[str, str]]:
    """Return the questions, each with the name by which it is answered."""
    hosts = [endpoint(host, port) for host, port in supervisor.egress.gateway.live_policy.hosts]
    questions = [
        {"name": f"host {host}", "text": f"{host} waits: may it be reached?"} for host in hosts
    ]
    questions += [
        {
            "name": f"{_LIMIT}{limit}",
            "text": f"The limit of {words} is used up: may it have as much again?",
        }
        for limit, words in supervisor.questions.limits.items()
    ]
    if supervisor.questions.clipboard.asks:
        questions.append({"name": _CLIPBOARD, "text": _ABOUT_CLIPBOARD})
    return questions


async def answer(supervisor: Supervisor, name: str, peer: Peer, *, allow: bool) -> dict[str, Any]:
    """Answer a question. Raise `RunNotActiveError` where it doesn't wait any more."""
    if all(each["name"] != name for each in waiting(supervisor)):
        raise RunNotActiveError(
            "that question was answered already, or nobody waits for it any more"
        )
    if name == _CLIPBOARD:
        supervisor.questions.clipboard.answer(allow=allow)
        return {}
    if name.startswith(_LIMIT):
        supervisor.egress.budget.answer(name.removeprefix(_LIMIT), peer, allow=allow)
        return {}
    subject = name.removeprefix("host ")
    verdict = Verdict.ALLOW if allow else Verdict.DENY
    answered = await supervisor.egress.gateway.amend(verdict, subject)
    return {"verdict": str(verdict), "rule": subject, "answered": answered}
