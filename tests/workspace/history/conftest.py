"""What all tests of the history need."""

from tests.workspace.history.snapshotted import snapshotted

__all__ = ["snapshotted"]
