"""Command line, agent.yaml and settings, made into a specification."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from moat.config.compile import (
    HostContext,
    RunOptions,
    compile_spec,
    read_project,
)
from moat.config.creation import create_run
from moat.config.settings import Settings
from moat.errors import NameTakenError, UsageError
from moat.runs.states import State
from moat.runs.store import Store
from moat.spec import Limits, Mount, RunSpec, TerminalSize

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TERMINAL = HostContext(stdin_is_terminal=True, stdout_is_terminal=True, size=TerminalSize(90, 30))
SCRIPT = HostContext()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def compiled(
    project: Path, options: RunOptions | None = None, host: HostContext = SCRIPT
) -> RunSpec:
    chosen = options or RunOptions(path=str(project), command=("true",))
    return compile_spec(chosen, Settings(), host, read_project(chosen))


def test_the_command_line_alone(project: Path) -> None:
    """Without a file, options and defaults make the run."""
    (project.parent / "data").mkdir()
    spec = compiled(
        project,
        RunOptions(
            path=str(project),
            command=("make", "-j8"),
            name="build",
            env=("A=1", "B=x=y", "C="),
            mounts=(f"{project.parent}/data:/data:ro",),
            workdir="sub",
            keep=True,
            memory="512m",
            cpus=1.5,
            pids=10,
            timeout="1h",
        ),
    )
    assert (spec.name, spec.command, spec.workspace) == ("build", ("make", "-j8"), str(project))
    assert spec.env == {"A": "1", "B": "x=y", "C": ""}
    assert spec.mounts == (Mount(f"{project.parent}/data", "/data", "ro"),)
    assert (spec.workdir, spec.keep, spec.timeout) == ("/workspace/sub", True, 3600.0)
    assert spec.limits == Limits(512 << 20, 1.5, 10)
    assert (spec.interactive, spec.tty) == (False, False)


def test_the_file_fills_in_and_flags_win(project: Path) -> None:
    """The variables of both are set; the flag wins where both set one."""
    (project / "sub").mkdir()
    (project / "agent.yaml").write_text(
        "name: fix\ncommand: sh -c 'echo hi'\ninteractive: true\nenv: {A: file, B: file}\n"
        "mounts: [sub:/data]\nexclude: [.env]\nlimits: {memory: 1g, cpus: 2, timeout: 10}\n"
    )
    spec = compiled(project, RunOptions(path=str(project)))
    assert (spec.name, spec.command, spec.interactive) == ("fix", ("sh", "-c", "echo hi"), True)
    assert spec.mounts == (Mount(str(project / "sub"), "/data", "rw"),)
    assert (spec.exclude, spec.limits) == ((".env",), Limits(1 << 30, 2.0, None))
    flags = RunOptions(
        path=str(project), command=("true",), name="mine", env=("B=flag",), memory="2g", timeout="5"
    )
    spec = compiled(project, flags)
    assert (spec.name, spec.command, spec.timeout) == ("mine", ("true",), 5.0)
    assert spec.env == {"A": "file", "B": "flag"}
    assert spec.limits == Limits(2 << 30, 2.0, None)


def test_the_network_is_what_all_of_them_say(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Command line, settings, file and the host's own proxy are joined."""
    monkeypatch.setenv("https_proxy", "http://u:p@proxy:3128")
    (project / "agent.yaml").write_text("network: {policy: permissive, rules: [allow c.com]}\n")
    options = RunOptions(path=str(project), command=("true",), allow=("a.com",))
    settings = Settings(network={"policy": "ask", "rules": ["deny b.com"]})
    found = compile_spec(options, settings, SCRIPT, read_project(options)).network
    assert found.policy == "ask"
    assert found.rules == ("allow a.com", "deny b.com", "allow c.com")
    assert found.upstream_proxy == "http://u:p@proxy:3128"


def test_a_proxy_of_the_host_that_can_not_be_used_is_reported(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It isn't ignored: where a proxy is set, a connection without it may not be allowed."""
    monkeypatch.setenv("https_proxy", "socks5://proxy:1080")
    with pytest.raises(UsageError, match="https_proxy names a socks5:// proxy"):
        compiled(project)


def test_without_a_command_both_ways_to_give_one_are_named(project: Path) -> None:
    """The hint names the command line and the file."""
    with pytest.raises(UsageError) as raised:
        compiled(project, RunOptions(path=str(project)))
    assert raised.value.hint is not None
    assert "moat run -- COMMAND" in raised.value.hint
    assert "agent.yaml" in raised.value.hint


def test_a_file_may_not_mount_what_a_link_leads_to(project: Path) -> None:
    """The link lies in the workspace, but its target doesn't."""
    (project / "inside").symlink_to("/etc")
    (project / "agent.yaml").write_text("command: x\nmounts: [inside:/data]\n")
    with pytest.raises(UsageError, match="not in the workspace"):
        compiled(project)


def test_a_workspace_with_a_colon_has_mounts_too(tmp_path: Path) -> None:
    """Only the text that the user wrote is split at colons."""
    project = tmp_path / "a:b"
    (project / "sub").mkdir(parents=True)
    (project / "agent.yaml").write_text("mounts: [sub:/data]\n")
    assert compiled(project).mounts == (Mount(str(project / "sub"), "/data", "rw"),)


@pytest.mark.parametrize(
    "options",
    [
        RunOptions(path="/nonexistent", command=("true",)),
        RunOptions(path="/etc/passwd", command=("true",)),
        RunOptions(path="~nobody-of-that-name/x", command=("true",)),
        RunOptions(command=("true",), name="Bad Name"),
        RunOptions(command=("true",), mounts=("/nonexistent:/x",)),
        RunOptions(command=("true",), mounts=("/etc",)),
        RunOptions(command=("true",), env=("=x",)),
        RunOptions(command=("true",), env=("MOAT_NO_SUCH_VARIABLE",)),
        RunOptions(command=("true",), memory="lots"),
        RunOptions(command=("true",), timeout="soon"),
        RunOptions(command=("true",), engine="dokcer"),
        RunOptions(command=("true",), tty=True),
        RunOptions(command=("true",), network_policy="open"),
        RunOptions(command=("true",), allow=("https://a.com",)),
        RunOptions(command=("true",), deny=("a b",)),
    ],
    ids=str,
)
def test_what_can_not_be_is_refused(
    options: RunOptions, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clear error comes before anything exists."""
    monkeypatch.chdir(project)
    with pytest.raises(UsageError):
        compiled(project, options)


def test_a_folder_that_is_gone_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This holds for the current folder, too."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(UsageError):
        compiled(gone, RunOptions(command=("true",)))


@pytest.mark.parametrize("interactive", [False, True])
@pytest.mark.parametrize("host", [TERMINAL, SCRIPT], ids=["terminal", "script"])
def test_a_tty_comes_with_input_on_a_terminal(
    project: Path, interactive: bool, host: HostContext
) -> None:
    """`-i` is stdin and a TTY on a terminal, stdin alone in a script."""
    options = RunOptions(path=str(project), command=("true",), interactive=interactive)
    spec = compiled(project, options, host)
    assert spec.tty is (interactive and host is TERMINAL)
    assert spec.interactive is interactive


def test_variables_come_from_settings_project_and_options(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The later source wins, and what it replaces needs no variable of the caller's."""
    monkeypatch.setenv("TOKEN", "secret")
    monkeypatch.delenv("GONE", raising=False)
    (project / "agent.yaml").write_text(
        "command: x\nenv: {TOKEN: , A: project, B: $GONE, C: 'a${TOKEN}$$'}\n"
    )
    settings = Settings(env={"A": "$GONE", "D": "own"})
    options = RunOptions(path=str(project), env=("B=$2",))
    spec = compile_spec(options, settings, SCRIPT, read_project(options))
    assert spec.env == {"TOKEN": "secret", "A": "project", "B": "$2", "C": "asecret$", "D": "own"}


def test_a_missing_variable_names_its_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of a reference says which of the two files has it."""
    monkeypatch.delenv("GONE", raising=False)
    options = RunOptions(path=str(project), command=("true",))
    with pytest.raises(UsageError, match=r"config.yaml: env.A: there is no variable GONE here"):
        compile_spec(options, Settings(env={"A": "$GONE"}), SCRIPT, read_project(options))
    (project / "agent.yaml").write_text("env: {GONE: }\n")
    with pytest.raises(UsageError, match=r"/agent.yaml: env.GONE: there is no variable GONE"):
        compiled(project)


def test_the_users_mounts_and_limits_hold_in_all_runs(project: Path) -> None:
    """Mounts of the settings come first; a project can lower the user's limits and not raise them."""
    (project / "agent.yaml").write_text("limits: {memory: 64g, pids: 5, timeout: 1m}\n")
    settings = Settings(
        mounts=(f"{project.parent}:/data:ro",), limits={"memory": "1g", "timeout": "1h"}
    )
    options = RunOptions(path=str(project), command=("true",), mounts=(f"{project}:/again",))
    spec = compile_spec(options, settings, SCRIPT, read_project(options))
    assert spec.mounts == (
        Mount(str(project.parent), "/data", "ro"),
        Mount(str(project), "/again", "rw"),
    )
    assert (spec.limits, spec.timeout) == (Limits(1 << 30, None, 5), 60.0)


def test_names_nobody_asked_for_give_way(project: Path, tmp_path: Path) -> None:
    """Of many runs of one project that start at once, each gets a name of its own."""
    (project / "agent.yaml").write_text("name: fix\ncommand: x\n")
    home = tmp_path / "home"
    Store(home).__exit__()
    start = threading.Barrier(8)
    names: list[str] = []

    def create() -> None:
        with Store(home) as store:
            start.wait()
            options = RunOptions(path=str(project), trust_project=True)
            names.append(create_run(store, options, Settings(), SCRIPT).name)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(names) == sorted(["fix", *(f"fix-{number}" for number in range(2, 9))])


def test_a_name_that_was_asked_for_is_taken_once(project: Path, tmp_path: Path) -> None:
    """A second run of that name is refused and leaves nothing behind."""
    with Store(tmp_path / "home") as store:
        options = RunOptions(path=str(project), command=("x",), name="fix")
        create_run(store, options, Settings(), SCRIPT)
        with pytest.raises(NameTakenError, match="fix"):
            create_run(store, options, Settings(), SCRIPT)
        assert len(list((tmp_path / "home" / "runs").iterdir())) == 1


def test_files_of_the_workspace_that_it_trusts_are_named(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    certificate: Callable[[str], str],
) -> None:
    """Otherwise a run could write the certificates that the next run trusts."""
    for name in ("project/ca.pem", "project/mine.pem", "outside.pem"):
        (tmp_path / name).write_text(certificate("a"))
    network = "network:\n  allow: [a.com]\n  upstream_ca: ./sub/../ca.pem\n"
    (project / "agent.yaml").write_text(network)
    (project / "sub").mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "outside.pem"))
    assert compiled(project).trusted_files == ("ca.pem",)
    (tmp_path / "link.pem").symlink_to(project / "mine.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "link.pem"))
    assert compiled(project).trusted_files == ("ca.pem", "mine.pem")


def test_the_name_of_an_ended_run_can_be_taken_again(project: Path, tmp_path: Path) -> None:
    """The new run gets the name, the ended one a number, and the user is told; a living one keeps it."""
    told: list[str] = []
    host = HostContext(tell=told.append)
    options = RunOptions(path=str(project), command=("true",), name="fix")
    with Store(tmp_path / "home") as store:
        first = create_run(store, options, Settings(), host)
        with pytest.raises(NameTakenError):
            create_run(store, options, Settings(), host)
        store.update(first.id, state=State.STOPPED)
        second = create_run(store, options, Settings(), host)
        assert store.find("fix").id == second.id
        assert store.find("fix-2").id == first.id
        store.update(second.id, state=State.FAILED)
        create_run(store, options, Settings(), host)
        assert store.find("fix-3").id == second.id
    assert told == [
        "the ended run fix is called fix-2 now",
        "the ended run fix is called fix-3 now",
    ]


def test_a_run_is_kept_or_removed(project: Path) -> None:
    """`--rm` and `--keep` exclude each other."""
    removed = compiled(project, RunOptions(path=str(project), command=("x",), rm=True))
    assert removed.remove_at_end
    with pytest.raises(UsageError, match="--rm and --keep"):
        compiled(project, RunOptions(path=str(project), command=("x",), rm=True, keep=True))
