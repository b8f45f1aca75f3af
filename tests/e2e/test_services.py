"""Services beside the command: real PostgreSQL and Redis, driven by their own clients.

Official images can't be fetched here. In their place is one of Debian's packages whose entrypoint takes
the official images' variables and does the same steps (scripts/service_entrypoint.sh). It has the names
of the official ones, so the registry's entries are used as they are.
"""

from __future__ import annotations

import json
import secrets
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.e2e.container_engines import NAMES, SERVICES, ContainerEngine

from moat.runs import lock

if TYPE_CHECKING:
    from tests.e2e.conftest import Moat

pytestmark = pytest.mark.parametrize("engine", NAMES, indirect=True)

IMAGE: Final = "moat-test-services"
OFFICIAL: Final = ("docker.io/library/postgres:17", "docker.io/library/redis:7")
READY_S: Final = 280.0
READ: Final = "while read line; do :; done"
"""A command that lives as long as its input."""


@pytest.fixture(autouse=True)
def _images(engine: ContainerEngine) -> None:
    changes = ('ENTRYPOINT ["/entrypoint.sh"]', "WORKDIR /data")
    engine.load_image_once(IMAGE, SERVICES, changes, OFFICIAL)


def run(moat: Moat, *words: str) -> subprocess.CompletedProcess[str]:
    return moat("run", *options(moat), *words, timeout=READY_S)


def options(moat: Moat) -> tuple[str, ...]:
    assert moat.engine is not None
    return ("--engine", moat.engine.name, "--image", IMAGE)


def ask_for(moat: Moat, services: dict[str, Any], **more: Any) -> None:
    """Write the project's file."""
    (moat.workspace / "agent.yaml").write_text(json.dumps({"services": services, **more}))


def changes(moat: Moat, state: str) -> list[dict[str, Any]]:
    """The events of services that have come to this state."""
    found = [json.loads(line) for line in moat.ok("events", "x", "--json").splitlines()]
    return [each for each in found if each["event"] == "service_changed" and each["state"] == state]


def happens(moat: Moat, state: str) -> None:
    """Wait until a service has come to this state."""
    following = moat.start("events", "x", "-f", "--json", "--event", "service_changed")
    try:
        assert following.stdout is not None
        while json.loads(following.stdout.readline())["state"] != state:
            pass
    finally:
        following.kill()
        following.communicate()


def test_a_command_uses_its_services(moat: Moat, engine: ContainerEngine) -> None:
    """By the URLs in its variables and by name; and nothing is left of them but their logs."""
    script = """
        psql -Atc 'select 40 + 2' "$MOAT_POSTGRES_URL"
        export PGPASSWORD=$MOAT_POSTGRES_PASSWORD
        psql -At -h postgres -U moat -d moat -c 'select current_database()'
        redis-cli -u "$MOAT_CACHE_URL" --no-auth-warning set x 1
        REDISCLI_AUTH=$MOAT_CACHE_PASSWORD redis-cli -h cache get x
        redis-cli -h "$MOAT_CACHE_HOST" -p "$MOAT_CACHE_PORT" get x
    """
    asked = ("--service", "postgres@17", "--service", "cache=redis")
    done = run(moat, *asked, "-n", "x", "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    refused = ["NOAUTH Authentication required.", ""]
    assert done.stdout.splitlines() == ["42", "moat", "OK", "1", *refused]
    assert "postgres (postgres:17), cache (redis:7)" in done.stderr
    assert engine.containers(moat.home) == []
    assert "ready to accept connections" in moat.ok("logs", "x", "--service", "postgres")
    assert [each["running"] for each in moat.inspect("x")["services"]] == [False, False]
    ready = {each["name"]: each["detail"] for each in changes(moat, "ready")}
    assert ready == {"postgres": "port 5432", "cache": "port 6379"}
    assert changes(moat, "ended") == []


def test_a_service_lives_with_its_run(moat: Moat, engine: ContainerEngine) -> None:
    """It is walled in like the command; a new supervisor adopts it, and its end is told, once."""
    moat.ok("run", *options(moat), "-id", "-n", "x", "--service", "redis", "--", "sh", "-c", READ)
    name = f"moat-{moat.inspect('x')['id']}-redis"
    pid = engine.api.call("GET", f"/containers/{name}/json")["State"]["Pid"]
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    assert (status["NoNewPrivs"], status["Seccomp"], status["CapEff"]) == ("1", "2", "0" * 16)
    # CHOWN, DAC_OVERRIDE, FOWNER, SETGID and SETUID, of which the server itself has none.
    assert int(status["CapBnd"], 16) == 0b11001011
    shim = moat.inspect("x")["shim"]["pid"]
    assert Path(f"/proc/{pid}/ns/net").samefile(f"/proc/{shim}/ns/net"), "it has another network"

    moat.kill("x", "supervisor")
    ping = ("exec", "x", "--", "sh", "-c", 'redis-cli -u "$MOAT_REDIS_URL" --no-auth-warning ping')
    assert moat.ok(*ping) == "PONG\n"
    assert moat.inspect("x")["services"][0]["running"]
    subprocess.run([*engine.client, "kill", name], check=True, capture_output=True)
    happens(moat, "ended")
    moat.kill("x", "supervisor")
    assert not moat.inspect("x")["services"][0]["running"]
    ended = changes(moat, "ended")
    assert [(each["name"], each["exit_code"]) for each in ended] == [("redis", 137)]
    audited = [json.loads(line) for line in moat.ok("audit", "x", "--json").splitlines()]
    assert "service_changed" in {each["event"] for each in audited}
    moat.ok("kill", "x")
    assert engine.containers(moat.home) == []


def test_passwords_are_shown_to_nobody(moat: Moat, engine: ContainerEngine) -> None:
    """They are in no command line of this machine, and in nothing that a run records."""
    asked = ("--service", "postgres", "--service", "redis")
    moat.ok("run", *options(moat), "-id", "-n", "x", *asked, "--", "sh", "-c", READ)
    records = moat.home / "runs" / moat.inspect("x")["id"] / "services.json"
    known = json.loads(records.read_text())["passwords"]
    assert sorted(known) == ["postgres", "redis"]
    shown = [moat.ok(*words) for words in (("events", "x"), ("audit", "x", "--json"))]
    shown.append(moat.ok("inspect", "x"))
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            shown.append(process.read_bytes().decode(errors="replace"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    folder = moat.home / "runs" / moat.inspect("x")["id"]
    shown += [(folder / name).read_text() for name in ("spec.json", "supervisor.log")]
    assert [each for each in known.values() for text in shown if each in text] == []
    moat.ok("kill", "x")
    assert not (folder / "services.json").exists()
    kept = [path for path in (folder / "services").rglob("*") if path.suffix != ".log"]
    assert kept == []
    del engine


def test_any_image_by_a_project_with_consent(moat: Moat, engine: ContainerEngine) -> None:
    """What it asks for is shown first; what the service asks of the network is the proxy's."""
    head = "GET / HTTP/1.1\\r\\nHost: denied.test\\r\\n\\r\\n"
    get = f"exec 3<>/dev/tcp/denied.test/80; printf '{head}' >&3"
    service = {
        "image": IMAGE,
        "ports": ["7000"],
        "env": {"TOKEN": "{password}"},
        "command": ["bash", "-c", f"{get}; head -1 <&3; exec redis-server --port 7000"],
        "url": "redis://{host}:{port}?token={TOKEN}",
        "ready": {"protocol": "redis"},
    }
    ask_for(moat, {"search": service}, network={"rules": ["deny GET denied.test/*"]})
    refused = run(moat, "-n", "x", "--", "true")
    assert refused.returncode == 3
    assert f"services: search, image: {IMAGE}, ports: [" in refused.stderr
    assert engine.containers(moat.home) == []
    script = 'echo "$MOAT_SEARCH_URL $MOAT_SEARCH_PASSWORD"; redis-cli -h search -p 7000 ping'
    done = run(moat, "--trust-project", "-n", "x", "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    url, password, pong = done.stdout.split()
    assert (url, len(password), pong) == (
        f"redis://127.0.0.1:7000?token={password}",
        32,
        "PONG",
    )
    assert "HTTP/1.1 403" in moat.ok("logs", "x", "--service", "search")
    assert "denied.test" in moat.ok("trace", "x")


def test_a_service_that_does_not_begin(moat: Moat, engine: ContainerEngine) -> None:
    """Its last words are shown without its password, and nothing is left."""
    say = "echo one; echo cannot begin with $SECRET >&2; exit 3"
    service = {"image": IMAGE, "ports": ["7000"], "env": {"SECRET": "{password}"}}
    ask_for(moat, {"broken": {**service, "command": ["sh", "-c", say]}})
    done = run(moat, "--trust-project", "-n", "x", "--", "true")
    assert done.returncode == 125
    assert f"service broken ({IMAGE}) has ended with exit code 3" in done.stderr
    assert "cannot begin with [password]" in done.stderr
    silent = {**service, "command": ["sleep", "1000"], "ready": {"timeout": "1s"}}
    ask_for(moat, {"silent": silent})
    late = run(moat, "--trust-project", "-n", "x", "--", "true")
    assert late.returncode == 125
    assert f"service silent ({IMAGE}) is not ready after 1 s" in late.stderr
    assert moat.runs() == []
    assert engine.containers(moat.home) == []


def test_a_run_that_is_stopped_while_it_waits(moat: Moat, engine: ContainerEngine) -> None:
    """Nobody has to wait for a service in order to stop, not even after a supervisor was killed."""
    service = {"image": IMAGE, "ports": ["7000"], "command": ["sleep", "1000"]}
    ask_for(moat, {"silent": {**service, "ready": {"timeout": "1h"}}})
    words = ("run", *options(moat), "--trust-project", "--keep", "-n", "x", "--", "true")
    starting = moat.start(*words)
    assert starting.stderr is not None
    assert b"the command begins once" in starting.stderr.readline()
    happens(moat, "started")
    moat.kill("x", "supervisor")
    moat.ok("stop", "x")
    assert "stopped before its command began" in starting.communicate()[1].decode()
    assert starting.returncode == 125
    assert moat.inspect("x")["state"] == "failed"
    assert engine.containers(moat.home) == []


def test_data_in_a_volume(moat: Moat, engine: ContainerEngine) -> None:
    """It lasts, with the password that it goes by, and no two runs have it at a time."""
    ask_for(moat, {"db": {"use": "postgres", "volume": "data"}})
    moat.trust_projects()

    def query(text: str) -> subprocess.CompletedProcess[str]:
        script = f'echo "$MOAT_DB_PASSWORD"; psql -Atqc "{text}" "$MOAT_DB_URL"'
        return run(moat, "--", "sh", "-c", script)

    first = query("create table t as select 7 as n")
    second = query("select n from t")
    assert second.stdout == f"{first.stdout}7\n", second.stderr
    moat.ok("run", *options(moat), "-id", "-n", "alive", "--", "sh", "-c", READ)
    refused = query("select 1")
    assert refused.returncode == 125
    assert "service db of the run alive has the volume data" in refused.stderr
    assert moat("volume", "rm", "data").returncode == 2
    moat.ok("kill", "alive")
    moat.ok("volume", "rm", "data")
    assert query("select 1").stdout != f"{first.stdout}1\n"
    del engine


def test_a_dead_shim_takes_services_along(moat: Moat, engine: ContainerEngine) -> None:
    """So does whoever kills a run that no supervisor has any more."""
    moat.ok("run", *options(moat), "-id", "-n", "x", "--service", "redis", "--", "sh", "-c", READ)
    moat.kill("x", "supervisor", "shim")
    moat("wait", "x")
    found = moat.inspect("x")
    assert found["state"] == "lost"
    lock.wait_until_free(moat.home / "runs" / found["id"] / "supervisor.lock")
    assert engine.containers(moat.home) == []


def test_services_that_were_left_behind_are_removed(moat: Moat, engine: ContainerEngine) -> None:
    """By `prune`, if they are this store's and of no living run."""
    gone = secrets.token_hex(6)
    labels = {"moat.home": moat.home, "moat.run": gone, "moat.service": "db"}
    named = [word for name, text in labels.items() for word in ("--label", f"{name}={text}")]
    for name in (f"moat-{gone}-db", f"moat-{gone}-yours"):
        command = [*engine.client, "create", "--name", name, *named, IMAGE, "true"]
        subprocess.run(command, check=True, capture_output=True)
    try:
        moat.ok(
            "run", *options(moat), "-id", "-n", "x", "--service", "redis", "--", "sh", "-c", READ
        )
        told = moat("prune", "--yes", **engine.environment).stderr
        assert f"moat-{gone}-db" in told
        assert moat.ok("exec", "x", "--", "redis-cli", "-h", "redis", "ping").startswith("NOAUTH")
        assert f"moat-{gone}-yours" in engine.containers(moat.home)
    finally:
        moat.ok("kill", "x")
        subprocess.run([*engine.client, "rm", f"moat-{gone}-yours"], check=True)


def test_what_is_refused(moat: Moat, engine: ContainerEngine) -> None:
    """Each says what to do instead, and starts nothing."""
    for words, said in (
        (("--engine", "bubblewrap", "--service", "redis"), "--engine docker"),
        ((*options(moat), "--service", "reddis"), "Did you mean redis?"),
        ((*options(moat), "--service", "redis@5"), f"{engine.name} pull redis:5"),
        ((*options(moat), "--service", "redis", "--service", "b=redis"), "both have port 6379"),
        ((*options(moat), "--service", "redis", "--service", "redis@6"), "--service NAME=redis"),
        ((*options(moat), "--service", "redis:6"), "such as postgres@17"),
    ):
        done = moat("run", *words, "--", "true")
        assert done.returncode in {2, 125}
        assert said in done.stderr
    assert moat.runs() == []
    assert engine.containers(moat.home) == []
