"""The Python API, on real runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.conftest import TIMEOUT_S

from moat import Moat
from moat.api import WaitResult
from moat.errors import ConsentError, RunNotFoundError, UsageError
from moat.runs.saved_rules import save_rule
from moat.runs.store import Store

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def api(moat: Any, monkeypatch: pytest.MonkeyPatch) -> Moat:
    monkeypatch.setenv("MOAT_HOME", str(moat.home))
    return Moat()


async def test_an_agent_is_driven(api: Moat, project: Path) -> None:
    """Start, wait for its prompt, type, read the screen, see its end."""
    run = await api.start(
        ["bash", "--norc"], path=project, tty=True, interactive=True, name="driven"
    )
    assert await run.wait(text=r"\$", timeout=TIMEOUT_S) is WaitResult.TEXT
    await run.send("echo the answer is $((6 * 7))")
    await run.press("Enter")
    assert await run.wait(text="the answer is 42", timeout=TIMEOUT_S) is WaitResult.TEXT
    assert "the answer is 42" in await run.screen()
    assert await run.wait(idle=0.1, timeout=TIMEOUT_S) is WaitResult.IDLE
    async with await run.attach() as watched:
        await run.send("exit 3\r")
        output = b"".join([piece async for piece in watched])
    assert b"exit" in output
    assert watched.exit_code == 3
    known = await run.inspect()
    assert (known["name"], known["state"], known["exit_code"]) == ("driven", "stopped", 3)


async def test_output_is_read_by_stream(api: Moat, project: Path) -> None:
    """Both, to the last byte, after the end as well."""
    run = await api.start(["sh", "-c", "echo out; echo err >&2"], path=project)
    assert await run.wait(timeout=TIMEOUT_S) is WaitResult.EXIT
    assert (await run.logs(), await run.logs("stderr")) == (b"out\n", b"err\n")


async def test_a_run_is_stopped_and_removed(api: Moat, project: Path) -> None:
    """And then it is not known any more."""
    run = await api.start(["sleep", "1000"], path=project)
    assert [each.id for each in await api.runs()] == [run.id]
    assert await run.wait(timeout=0.01) is WaitResult.TIMEOUT
    assert (await run.stop())["exit_code"] == 143
    await run.destroy()
    with pytest.raises(RunNotFoundError):
        await api.run(run.id)


async def test_wrong_wishes_start_nothing(api: Moat, project: Path) -> None:
    """The same checks as of the command line."""
    with pytest.raises(UsageError, match="does not exist"):
        await api.start(["true"], path=project, mounts=("/no/such/place:/x",))
    assert await api.runs(ended=True) == []


async def test_a_program_decides_what_its_run_may_reach(api: Moat, project: Path) -> None:
    """The policy is read and changed from Python; a rule that is none raises, and changes nothing."""
    run = await api.start(["sleep", "1000"], path=project, network_policy="strict")
    await run.allow("GET example.com/a/**")
    await run.deny("*.example.com")
    with pytest.raises(UsageError, match="is not a rule"):
        await run.allow("two words too many")
    policy = await run.policy()
    assert policy["policy"] == "strict"
    assert policy["additions"] == ["deny *.example.com", "allow GET example.com/a/**"]
    assert policy["waiting"] == []
    await run.destroy()


async def test_what_a_project_opens_needs_consent(api: Moat, project: Path) -> None:
    """The error has the words of the command line, nothing starts, and the caller can agree."""
    (project / "agent.yaml").write_text("env: {A: one}\n")
    with pytest.raises(ConsentError, match="nobody has agreed to: env: A=one") as raised:
        await api.start(["true"], path=project)
    assert (raised.value.code, raised.value.exit_code) == ("consent", 3)
    assert await api.runs(ended=True) == []
    run = await api.start(["sh", "-c", "echo $A"], path=project, trust_project=True)
    assert await run.wait(timeout=TIMEOUT_S) is WaitResult.EXIT
    assert await run.logs() == b"one\n"


async def test_what_is_remembered_holds_for_runs_from_python(api: Moat, project: Path) -> None:
    """A rule that was given `--always` is for every later run of the folder."""
    with Store() as store:
        save_rule(store.home, str(project), "deny evil.test")
    run = await api.start(["sleep", "1000"], path=project)
    assert (await run.policy())["rules"] == ["deny evil.test"]
