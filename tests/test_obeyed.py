"""Every place where Moat starts a program, loads code or reads a file, and why it may.

What a run wrote must decide nothing on the host. So programs and the folders of a run go through
`moat.ground`, and whatever else starts or reads something stands here with its reason. A new place
needs a line, and with it an answer: could a run have written what is started or read?
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SOURCE: Final = Path(__file__).parents[1] / "src"

_OWN_PYTHON: Final = "sys.executable, which no run may write (moat.ground.own)"
_LIBC: Final = "the C library that this process has loaded already"

STARTED: Final[Mapping[str, str]] = {
    "moat.cli.doctor find_spec": "looks for a module of Moat's and loads nothing",
    "moat.cli.cockpit.app subprocess.run": _OWN_PYTHON,
    "moat.cli.plain.dispatch importlib.import_module": "a command of a table, from Moat's own package",
    "moat.cli.main importlib.import_module": "a command of the table, from Moat's own package",
    "moat.cli.plain.run os.execv": f"this command again, with {_OWN_PYTHON}",
    "moat.client.connect.spawn os.posix_spawn": _OWN_PYTHON,
    "moat.client.host_git subprocess.run": "what moat.ground.programs has found",
    "moat.supervisor.hook_process subprocess.Popen": "the user's own command, from their settings",
    "moat.supervisor.hooks os.posix_spawn": _OWN_PYTHON,
    "moat.supervisor.snapshots os.posix_spawn": _OWN_PYTHON,
    "moat.supervisor.witness os.posix_spawn": _OWN_PYTHON,
    "moat.supervisor.spare.__main__ importlib.import_module": "modules of a table, Moat's own",
    "moat.supervisor.spare.server os.fork": "goes on in this program",
    "moat.supervisor.spare_launch os.posix_spawn": _OWN_PYTHON,
    "moat.ground.browser subprocess.run": "what moat.ground.programs has found",
    "moat.ground.editor subprocess.run": "what moat.ground.programs has found",
    "moat.credentials.secret_sources subprocess.run": "what moat.ground.programs has found",
    "moat.credentials.ssh_obtaining subprocess.run": "what moat.ground.programs has found",
    "moat.credentials.obtaining.logins subprocess.run": "what moat.ground.programs has found",
    "moat.egress.authorization.echo importlib.import_module": "brotli, from Moat's own environment",
    "moat.engines.bubblewrap.host_checks ctypes.CDLL": _LIBC,
    "moat.engines.bubblewrap.host_checks os.fork": "goes on in this program",
    "moat.engines.bubblewrap.host_checks subprocess.run": "what moat.ground.programs has found",
    "moat.engines.under_shim.shim_client os.posix_spawn": _OWN_PYTHON,
    "moat.engines.bubblewrap.toolchains.ahead os.fork": "goes on in this program",
    "moat.platform.inotify ctypes.CDLL": _LIBC,
    "moat.platform.memory ctypes.CDLL": _LIBC,
    "moat.session.terminal.ghostty_abi ctypes.CDLL": "a library from sys.path (moat.ground.own)",
    "moat.session.terminal.ghostty_abi find_spec": "sys.path, which no run may write",
    "moat.shim.launch.enter os.execvpe": "the user's command, in the sandbox",
    "moat.shim.launch.spawn os.fork": "goes on in this program",
    "moat.shim.launch.spawn os.posix_spawn": _OWN_PYTHON,
    "moat.shim.launch.start os.execve": "a sealed copy of what moat.ground.programs has found",
    "moat.shim.linux ctypes.CDLL": _LIBC,
    "moat.workspace.recorder os.fork": "goes on in this program",
    "moat.supervisor.start importlib.import_module": "modules of a table, Moat's own",
    "moat.telemetry.otlp find_spec": "sys.path, which no run may write",
    "moat.supervisor.teardown import_module": "a module of Moat's own, by its name",
}
"""A module and what it calls, and why a run can't choose what is started or loaded."""

READ: Final[Mapping[str, str]] = {
    "the store, which no run sees": """
        agents.kept_files archive.reading archive.writing atomic audit.bundle audit.cosignatures
        audit.log audit.run_log cli.audit_own
        cli.trust_report client.attach.attach
        client.connect.launch client.host_git client.worktree
        credentials.key_store
        credentials.keys credentials.vault
        client.display.quarantine_notice client.router ports.router_place
        egress.persistence egress.tls.ca egress.traffic.portable
        egress.traffic.reader egress.traffic.writer
        engines.under_shim.engine engines.bubblewrap.engine
        engines.container.container engines.container.mounts engines.container.services
        runs.event_log runs.event_reader runs.index runs.project_folders runs.lock runs.rebuild
        runs.imported runs.json_file runs.rmtree runs.session_records runs.store runs.unfinished
        session.journal.journal session.journal.reader session.journal.transcript
        shim.launch.sessions supervisor.log_file supervisor.start workspace.content_store
        workspace.earlier_paths workspace.frozen_changes workspace.snapshot
        workspace.history.blobs workspace.history.history workspace.history.worker
    """,
    "files of Moat's own, beside its modules": """
        client.images
    """,
    "devices, and descriptors that are open already": """
        cli.stdio client.attach.handover client.connect.spawn client.connect.standby client.upkeep
        client.witness
        engines.bubblewrap.toolchains.ahead
        platform.descriptors supervisor.hooks telemetry.follower
        shim.launch.devices shim.launch.enter shim.launch.sandbox shim.launch.start
        supervisor.client_tty supervisor.spare.__main__
    """,
    "the kernel's answers in /proc and /sys": """
        client.connect.patience engines.container.engine engines.bubblewrap.host_checks
        engines.bubblewrap.rlimits ground.own
        platform.foreground platform.process
        platform.sockets platform.standing supervisor.metrics shim.launch.memory shim.launch.spawn
        shim.linux shim.netns.namespace
    """,
    "the system's files, which no run may write (moat.ground.areas)": """
        egress.tls.trust engines.bubblewrap.etc_files engines.trust_store.certificates ground.check
    """,
    "files of the user, checked by `moat.ground` and kept read-only in runs": """
        cli.proposed_file cli.vault engines.container.finding config.certificates config.document
        config.files credentials.obtaining.logins
    """,
    "certificates in a specification, which are in memory": """
        credentials.obtaining.http
    """,
    "files that the user names, where no run may write": """
        cli.new_file cli.state ground.editor credentials.secret_sources credentials.ssh_obtaining
    """,
    "programs that moat.ground.programs has found": """
        engines.under_shim.memory_files
    """,
    "configurations of the user's own, of which values alone are taken, and named ones": """
        workspace.git_identity
    """,
    "files of a run and of toolchains, and bundles, read as those of an enemy": """
        archive.zip_file cli.audit cli.audit_verify engines.bubblewrap.agent_home
        engines.under_shim.granted_files
        engines.bubblewrap.toolchains.search engines.bubblewrap.toolchains.versions
        workspace.beneath workspace.contents workspace.entries workspace.git_index_review
        workspace.git_layout workspace.git_objects workspace.links workspace.quarantine
        workspace.applying workspace.copying workspace.placing workspace.restoring workspace.walk
        runs.disk survey.reading
    """,
    "data that comes with Moat, beside its code (moat.ground.own)": """
        audit.page egress.budget.prices web.page_files
    """,
}
"""Why a file may be read, and the modules of `moat` that read for that reason."""

_STARTS: Final = re.compile(
    r"(os\.(exec|spawn|posix_spawn|fork|system|popen)\w*|subprocess\.\w+|shutil\.which|pty\.\w+"
    r"|runpy\.\w+|multiprocessing\.\w+|(.*\.)?(import_module|find_spec|CDLL|PyDLL|LoadLibrary)"
    r"|exec|eval|__import__|asyncio\.create_subprocess_\w+)"
)
_READS: Final = re.compile(
    r"(open|os\.open|io\.open|tokenize\.open|.*\.(read_text|read_bytes)|sqlite3\.connect|read_bounded"
    r"|.*\.(load_verify_locations|load_cert_chain))"
)


def _name(node: ast.expr) -> str:
    """Return what is called, as it is written; `?` for the result of an expression."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name):
            return f"{_name(value)}.{name}"
        case _:
            return "?"


def _module(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


@cache
def _calls() -> list[tuple[str, ast.Call]]:
    return [
        (_module(path), node)
        for path in sorted(SOURCE.glob("moat/**/*.py"))
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Call)
    ]


def _opens_path(call: ast.Call) -> bool:
    """Tell `path.open()` from `gateway.open(listen)` by its arguments: a mode, or none."""
    return (
        isinstance(call.func, ast.Attribute)
        and call.func.attr == "open"
        and all(isinstance(each, ast.Constant) for each in call.args)
        and (bool(call.args) or any(each.arg in {"errors", "encoding"} for each in call.keywords))
    )


def started() -> Iterator[str]:
    for module, call in _calls():
        if _STARTS.fullmatch(_name(call.func)):
            yield f"{module} {_name(call.func)}"


def reading() -> Iterator[str]:
    for module, call in _calls():
        if _READS.fullmatch(_name(call.func)) or _opens_path(call):
            yield module.removeprefix("moat.")


def test_whatever_is_started_or_loaded_has_its_reason() -> None:
    """No program is started, and no code is loaded, but what no run can have written."""
    assert sorted(set(started())) == sorted(STARTED)


def test_whatever_is_read_has_its_reason() -> None:
    """No file is read but for a reason that says why what a run wrote there could not deceive us."""
    listed = [module for modules in READ.values() for module in modules.split()]
    assert sorted(set(reading())) == sorted(listed)


def test_nothing_asks_path() -> None:
    """No program is looked for on PATH, and none is started by its bare name."""
    named = [
        f"{module} {ast.unparse(call)}"
        for module, call in _calls()
        if _STARTS.fullmatch(_name(call.func))
        and any(
            isinstance(each, ast.List | ast.Tuple)
            and each.elts
            and isinstance(each.elts[0], ast.Constant)
            for each in call.args
        )
    ]
    assert named == []
    assert not [each for each in started() if "which" in each or each.endswith("p os.execvp")]


def test_every_environment_is_made() -> None:
    """What Moat starts gets no variable of the user's that could choose its code."""
    inherited = [
        f"{module} {ast.unparse(call)}"
        for module, call in _calls()
        if _name(call.func).startswith("subprocess.")
        and all(each.arg != "env" for each in call.keywords)
    ]
    assert inherited == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("subprocess.check_output(['git'])", True),
        ("shutil.which('git')", True),
        ("os.execlp('git', 'git')", True),
        ("asyncio.create_subprocess_exec('git')", True),
        ("engine.execute('x')", False),
        ("db.executescript('x')", False),
    ],
)
def test_the_ways_to_start_a_program_are_known(text: str, found: bool) -> None:
    """The search above finds each of them, and not what merely has a similar name."""
    (call,) = [each for each in ast.walk(ast.parse(text)) if isinstance(each, ast.Call)]
    assert bool(_STARTS.fullmatch(_name(call.func))) is found
