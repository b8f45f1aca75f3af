"""Locks that the kernel keeps."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from moat.runs import lock

if TYPE_CHECKING:
    from pathlib import Path


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    """A second holder is refused, and the file tells that it is locked."""
    held = lock.try_lock(tmp_path / "x")
    assert held is not None
    assert lock.try_lock(tmp_path / "x") is None
    assert lock.is_locked(tmp_path / "x")
    os.close(held)
    assert not lock.is_locked(tmp_path / "x")


def test_a_lock_that_was_never_made_is_free(tmp_path: Path) -> None:
    """Asking doesn't make the file."""
    assert not lock.is_locked(tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_an_inherited_lock_lives_as_long_as_its_last_holder(tmp_path: Path) -> None:
    """Otherwise a killed client would let a second supervisor start beside the first."""
    go_read, go_write = os.pipe()
    with lock.locked(tmp_path / "x"):
        child = os.fork()
        if child == 0:
            os.close(go_write)
            os.read(go_read, 1)
            os._exit(0)
        os.close(go_read)
    assert lock.is_locked(tmp_path / "x")
    os.close(go_write)
    os.waitpid(child, 0)
    assert not lock.is_locked(tmp_path / "x")


def test_a_killed_holder_leaves_nothing(tmp_path: Path) -> None:
    """SIGKILL releases a lock like closing it, so no lock is ever stale."""
    ready_read, ready_write = os.pipe()
    child = os.fork()
    if child == 0:
        lock.try_lock(tmp_path / "x")
        os.write(ready_write, b"x")
        signal.pause()
    os.close(ready_write)
    os.read(ready_read, 1)
    assert lock.is_locked(tmp_path / "x")
    os.kill(child, 9)
    os.waitpid(child, 0)
    os.close(ready_read)
    assert not lock.is_locked(tmp_path / "x")


def test_a_wait_for_a_lock_may_have_an_end(tmp_path: Path) -> None:
    """Whoever holds it keeps it, and a free lock is had at once."""
    with lock.locked(tmp_path / "x", 0.01):
        with pytest.raises(TimeoutError), lock.locked(tmp_path / "x", 0.01):
            pass
        with pytest.raises(TimeoutError):
            lock.wait_until_free(tmp_path / "x", 0.01)
    lock.wait_until_free(tmp_path / "x", 0.01)


def test_the_holder_of_a_lock_is_known(tmp_path: Path) -> None:
    """The kernel says which process it is, and that nobody is once the lock is free."""
    assert lock.holder(tmp_path / "x") is None
    with lock.locked(tmp_path / "x"):
        assert lock.holder(tmp_path / "x") == os.getpid()
        assert lock.holder(tmp_path / "y") is None
    assert lock.holder(tmp_path / "x") is None
