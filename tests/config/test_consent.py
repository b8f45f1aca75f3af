"""The user's consent: when it is needed, how it is given, and what starts without it: nothing."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from moat.config import agent_file, consent
from moat.config.compile import HostContext, RunOptions
from moat.config.consent import Answer, Question
from moat.config.creation import create_run
from moat.config.settings import Settings
from moat.errors import ConsentError, UsageError
from moat.runs import consents
from moat.runs.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from moat.config.settings import Trust
    from moat.runs.store import Run
    from moat.spec import RunSpec

OPENS = "network: {allow: [a.com]}\n"
RESTRICTS = "exclude: [.env]\nnetwork: {policy: strict, rules: [deny a.com]}\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "home") as store:
        yield store


class User:
    """A user who is asked, and always gives the same answer."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.questions: list[Question] = []

    def __call__(self, question: Question) -> Answer:
        self.questions.append(question)
        return self.answer

    def new(self) -> list[str]:
        """Return what the last question asked for."""
        return self.questions[-1].change.texts(at_most=5)


def start(
    store: Store,
    project: Path,
    ask: Callable[[Question], Answer] | None = None,
    *,
    trust: Trust = "ask",
    command: tuple[str, ...] = ("true",),
    trust_project: bool = False,
) -> Run:
    options = RunOptions(path=str(project), command=command, trust_project=trust_project)
    return create_run(store, options, Settings(trust_project=trust), HostContext(ask=ask))


def spec(store: Store, run: Run) -> RunSpec:
    return store.spec(run.id)


@pytest.mark.parametrize("name", agent_file.NAMES)
def test_what_nobody_has_agreed_to_starts_nothing(store: Store, project: Path, name: str) -> None:
    """The error names the file and what it opens, and how to look and to agree."""
    (project / name).write_text(OPENS)
    with pytest.raises(ConsentError) as raised:
        start(store, project)
    assert raised.value.summary == (
        f"{project}/{name} opens 1 thing that nobody has agreed to: network.allow: a.com"
    )
    assert f"moat trust --show {project}; agree: moat trust {project}" in str(raised.value.hint)
    assert "--trust-project" in str(raised.value.hint)
    assert store.all() == []


@pytest.mark.parametrize("trust", ["always", "ask", "never"])
def test_what_restricts_needs_no_consent(store: Store, project: Path, trust: Trust) -> None:
    """A project may always give its runs less."""
    (project / "agent.yaml").write_text(RESTRICTS)
    assert spec(store, start(store, project, trust=trust)).network.policy == "strict"


@pytest.mark.parametrize(
    "line",
    [
        "command: x",
        "interactive: true",
        "env: {LD_PRELOAD: /workspace/x.so}",
        "mounts: [sub:/data]",
        "network: {rules: [allow a.com]}",
        "network: {allow: [a.com]}",
        "network: {tcp: ['a.com:22']}",
        "network: {passthrough: [a.com]}",
        "network: {hosts: {a.com: 10.0.0.1}}",
        "network: {private: [10.0.0.0/8]}",
        "network: {ask_timeout: 2m}",
    ],
)
def test_settings_may_let_projects_open_nothing(store: Store, project: Path, line: str) -> None:
    """Nobody is asked then, consent of before counts for nothing, and the hint says what is left."""
    (project / "sub").mkdir()
    (project / "agent.yaml").write_text(line)
    consents.agree(store.home, project, agent_file.project_in(project).openings)
    user = User(Answer.ALWAYS)
    with pytest.raises(UsageError, match="trust_project: never") as raised:
        start(store, project, user, trust="never", command=())
    assert "config.yaml" in str(raised.value.hint)
    assert user.questions == []


def test_settings_may_trust_every_project(store: Store, project: Path) -> None:
    """Nobody is asked."""
    (project / "agent.yaml").write_text(OPENS)
    assert spec(store, start(store, project, trust="always")).network.allow == ("a.com",)


GIVES = {
    "grants: [github]": "grants: github",
    "secrets: {KEY: file:///etc/hostname}": "secrets: KEY=file:///etc/hostname",
    "env: {KEY: }": "env: KEY, as it is set where moat is called",
    'env: {A: "x-${KEY}"}': "env: A=x-${KEY}",
    'env: {A: "$$$KEY"}': "env: A=$$$KEY",
}


@pytest.mark.parametrize("line", GIVES)
@pytest.mark.parametrize("blindly", ["settings", "command line"])
def test_nobody_gives_away_blindly_what_is_theirs(
    store: Store, project: Path, line: str, blindly: str
) -> None:
    """Credentials and variables need an agreement to just these, which asks for nothing else."""
    (project / "agent.yaml").write_text(f"{OPENS}{line}\n")
    user = User(Answer.NO)

    def begin(ask: Callable[[Question], Answer] | None) -> None:
        if blindly == "settings":
            start(store, project, ask, trust="always")
        else:
            start(store, project, ask, trust_project=True)

    with pytest.raises(ConsentError):
        begin(user)
    assert user.new() == [GIVES[line]]
    with pytest.raises(ConsentError) as raised:
        begin(None)
    assert "--trust-project" not in str(raised.value.hint)


def test_an_agreement_to_what_is_given_outlasts_other_changes(
    store: Store, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever trusts every project is asked about what it is given, and about nothing else."""
    monkeypatch.setenv("HOME", "/home/user")
    (project / "agent.yaml").write_text("env: {HOME: , A: $$5}\n")
    user = User(Answer.ALWAYS)
    start(store, project, user, trust="always")
    (project / "agent.yaml").write_text(f"{OPENS}env: {{HOME: , A: $$6}}\n")
    start(store, project, None, trust="always")
    with pytest.raises(ConsentError):
        start(store, project)


def test_the_command_line_agrees_for_one_run(store: Store, project: Path) -> None:
    """It wins over the settings, and nothing is remembered."""
    (project / "agent.yaml").write_text(OPENS)
    start(store, project, trust="never", trust_project=True)
    with pytest.raises(ConsentError):
        start(store, project)


def test_a_yes_holds_once(store: Store, project: Path) -> None:
    """The next run asks again."""
    (project / "agent.yaml").write_text(OPENS)
    user = User(Answer.ONCE)
    assert spec(store, start(store, project, user)).network.allow == ("a.com",)
    start(store, project, user)
    assert [each.agreed for each in user.questions] == [(), ()]


def test_a_no_starts_nothing(store: Store, project: Path) -> None:
    """Not even a run without what the file opens: that would be another run than the file asks for."""
    (project / "agent.yaml").write_text(OPENS)
    with pytest.raises(ConsentError, match="nothing was started"):
        start(store, project, User(Answer.NO))
    assert store.all() == []


def test_always_holds_until_more_is_opened(store: Store, project: Path) -> None:
    """Then only what is new is asked about."""
    (project / "agent.yaml").write_text(OPENS)
    user = User(Answer.ALWAYS)
    start(store, project, user)
    start(store, project)
    (project / "agent.yaml").write_text(RESTRICTS.replace("rules", "allow: [a.com], rules"))
    start(store, project)
    assert len(user.questions) == 1
    (project / "agent.yaml").write_text("network: {allow: [b.com, a.com]}\n")
    start(store, project, user)
    assert user.new() == ["network.allow: b.com"]
    start(store, project)


def test_two_states_of_a_file_are_agreed_to_beside_each_other(store: Store, project: Path) -> None:
    """Two branches need no more than one question each, and what only both open together is new."""
    for text in (OPENS, "env: {A: '1'}\n"):
        (project / "agent.yaml").write_text(text)
        start(store, project, User(Answer.ALWAYS))
    for text in (OPENS, "env: {A: '1'}\n"):
        (project / "agent.yaml").write_text(text)
        start(store, project)
    (project / "agent.yaml").write_text("env: {A: '1'}\n" + OPENS)
    with pytest.raises(ConsentError, match="opens 1 thing"):
        start(store, project)


def test_a_command_that_is_not_run_needs_no_consent(store: Store, project: Path) -> None:
    """The command line has one of its own."""
    (project / "agent.yaml").write_text("command: [rm, -rf, x]\n")
    assert spec(store, start(store, project)).command == ("true",)
    with pytest.raises(ConsentError, match="command: rm -rf x"):
        start(store, project, command=())


def test_certificates_are_agreed_to_by_their_content(
    store: Store, project: Path, certificate: Callable[[str], str]
) -> None:
    """Another authority behind the same name is another authority; the same one elsewhere isn't."""
    file, network = project / "ca.pem", "network: {{allow: [a.com], upstream_ca: {}}}\n"
    file.write_text(certificate("company"))
    (project / "agent.yaml").write_text(network.format("ca.pem"))
    start(store, project, User(Answer.ALWAYS))
    shutil.copy(file, project / "copy.pem")
    (project / "agent.yaml").write_text(network.format("copy.pem"))
    start(store, project)
    file.write_text(certificate("company"))
    start(store, project)
    (project / "agent.yaml").write_text(network.format("ca.pem"))
    with pytest.raises(ConsentError, match=r"network\.upstream_ca: certificate [0-9A-F:]{95}\n"):
        start(store, project)


def test_consent_is_for_the_folder_under_any_name(
    store: Store, project: Path, tmp_path: Path
) -> None:
    """A link to the folder is the folder; a copy of it, or the folder at another place, is not."""
    (project / "agent.yaml").write_text(OPENS)
    start(store, project, User(Answer.ALWAYS))
    (tmp_path / "link").symlink_to(project)
    start(store, tmp_path / "link")
    shutil.copytree(project, tmp_path / "copy")
    with pytest.raises(ConsentError):
        start(store, tmp_path / "copy")
    project.rename(tmp_path / "moved")
    with pytest.raises(ConsentError):
        start(store, tmp_path / "moved")


def test_the_run_gets_what_was_agreed_to(store: Store, project: Path) -> None:
    """While the user thinks about it, a run of the same folder may change the file."""
    (project / "agent.yaml").write_text(OPENS)

    def swap(_question: Question) -> Answer:
        (project / "agent.yaml").write_text("network: {allow: [evil.com]}\n")
        return Answer.ALWAYS

    assert spec(store, start(store, project, swap)).network.allow == ("a.com",)
    with pytest.raises(ConsentError, match=r"evil\.com"):
        start(store, project)


def test_an_error_is_two_lines_however_much_is_opened(store: Store, project: Path) -> None:
    """The text of a hostile file neither fills the terminal nor acts on it."""
    hosts = ", ".join(f"h{number}.com" for number in range(1000))
    (project / "agent.yaml").write_text(
        f'env: {{A: "\\e[2J\\n{"x" * 9999}"}}\nnetwork: {{allow: [{hosts}]}}\n'
    )
    with pytest.raises(ConsentError) as raised:
        start(store, project)
    assert raised.value.summary.isprintable()
    assert "opens 1001 things" in raised.value.summary
    assert raised.value.summary.endswith(": env (1), network.allow (1000)")
    (project / "agent.yaml").write_text(f'env: {{A: "\\e[2J\\n{"x" * 9999}"}}\n')
    with pytest.raises(ConsentError) as raised:
        start(store, project)
    assert raised.value.summary.isprintable()
    assert "A=\\x1b[2J\\nxxx" in raised.value.summary
    assert len(raised.value.summary) < 500


def test_what_is_open_is_known_without_asking(project: Path, tmp_path: Path) -> None:
    """`moat policy test` and the like say what they assume."""
    (project / "agent.yaml").write_text(OPENS)
    read = agent_file.project_in(project)
    question = consent.open_question(read, "ask", tmp_path)
    assert question is not None
    assert question.folder == project
    consents.agree(tmp_path, project, read.openings)
    assert consent.open_question(read, "ask", tmp_path) is None
