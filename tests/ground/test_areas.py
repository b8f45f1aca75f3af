"""Which folders a run may be given."""

from __future__ import annotations

import pytest

from moat.errors import UsageError
from moat.ground.areas import Area, Ground, is_in, refuse_overlap, refuse_unfit

HOMES = ("/users/me", "/root")
PYTHON = Ground("which is Moat's Python", ("/", "/opt", "/opt/moat"), "install it elsewhere")


def workspace(path: str) -> Area:
    return Area(f"workspace {path}", path, is_workspace=True)


def mount(path: str, *, writable: bool = True) -> Area:
    return Area(f"mount {path}:/data", path, writable=writable)


def refusal(area: Area) -> UsageError | None:
    try:
        refuse_unfit(area, HOMES)
    except UsageError as error:
        return error
    return None


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/etc", "/etc/nixos", "/usr", "/usr/lib/python3", "/usr/local", "/usr/local/bin"),
        *(
            "/opt",
            "/var",
            "/var/lib",
            "/tmp",
            "/dev",
            "/dev/shm",
            "/run",
            "/run/user/1000",
            "/home",
        ),
        *("/nix", "/nix/store/x", "/boot", "/proc/1", "/users", "/users/me", "/root"),
        *("/users/me/.ssh", "/users/me/.ssh/keys", "/users/me/.config", "/users/me/.config/git"),
        *("/users/me/.local", "/users/me/.local/bin", "/users/me/bin", "/users/me/.bashrc"),
        *("/users/me/.config/systemd/user", "/users/me/.aws", "/users/me/.oh-my-zsh"),
    ],
)
def test_what_the_host_obeys_is_no_project(path: str) -> None:
    """Home folders, the system's and those that programs take commands from: never to be written."""
    for area in (workspace(path), mount(path)):
        error = refusal(area)
        assert error is not None
        assert error.summary.startswith(f"{area.name} ")
        assert error.hint


@pytest.mark.parametrize(
    "path",
    [
        *("/users/me/project", "/root/x", "/users/me/.dotfiles", "/users/me/.cache/worktrees/x"),
        *("/srv", "/srv/app", "/opt/app", "/usr/src/app", "/var/www/app", "/var/lib/jenkins/x"),
        *("/tmp/x", "/dev/shm/x", "/mnt", "/run/media/me/stick", "/etcetera", "/users/me/binary"),
        *("/workspace", "/app", "/users/me/.local/share/chezmoi", "/usr/local/src/x"),
    ],
)
def test_everything_else_may_be_a_project(path: str) -> None:
    """Where people and machines keep their projects is left alone."""
    assert refusal(workspace(path)) is None
    assert refusal(mount(path)) is None


@pytest.mark.parametrize("path", ["/", "/users", "/users/me"])
def test_a_home_folder_is_not_even_shown(path: str) -> None:
    """A read-only mount of it would show every key and password that it holds."""
    error = refusal(mount(path, writable=False))
    assert error is not None
    assert "keys and passwords" in error.summary


@pytest.mark.parametrize("path", ["/etc", "/usr/share", "/users/me/.ssh", "/users/me/bin"])
def test_what_is_named_may_be_shown(path: str) -> None:
    """The user has asked for it by name, and a run can't change it."""
    assert refusal(mount(path, writable=False)) is None


@pytest.mark.parametrize(
    "path", ["/opt", "/opt/moat", "/opt/moat/lib/python3", "/opt/moat/bin/python"]
)
def test_what_moat_obeys_is_not_written(path: str) -> None:
    """Neither a folder around it nor a part of it; the error has the remedy."""
    with pytest.raises(UsageError, match="Moat's Python") as error:
        refuse_overlap(workspace(path), [PYTHON])
    assert error.value.hint == "install it elsewhere"


@pytest.mark.parametrize("path", ["/opt/moat2", "/srv", "/opt/moa"])
def test_a_folder_beside_it_is_free(path: str) -> None:
    """Names that merely begin alike are other folders."""
    refuse_overlap(workspace(path), [PYTHON])


def test_a_link_on_the_way_counts() -> None:
    """Who can point a link elsewhere decides what is found behind it."""
    ground = Ground("which is Moat's Python", ("/srv/link", "/opt/moat"), "move it")
    with pytest.raises(UsageError, match="would let the run change /srv/link"):
        refuse_overlap(workspace("/srv"), [ground])
    refuse_overlap(workspace("/srv/link/below"), [ground])


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        *(("/users/me", True), ("/users/me/json", True), ("/users/me/json.py", True)),
        *(("/users/me/json/x", True), ("/users/me/project", False), ("/users/me/jsonx", False)),
    ],
)
def test_a_folder_of_programs_has_projects_too(path: str, refused: bool) -> None:
    """Beside a script that uses Moat, only what Moat would import by its name is dangerous."""
    ground = Ground("from which Moat imports", ("/users/me",), "move it", frozenset(("json",)))
    if refused:
        with pytest.raises(UsageError):
            refuse_overlap(workspace(path), [ground])
    else:
        refuse_overlap(workspace(path), [ground])


def test_a_path_lies_in_itself_and_above_what_is_below() -> None:
    """The root folder holds everything; a common beginning of names means nothing."""
    assert is_in("/a", "/a")
    assert is_in("/a/b", "/a")
    assert is_in("/a", "/")
    assert not is_in("/ab", "/a")
    assert not is_in("/", "/a")
