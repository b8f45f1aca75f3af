"""Fixtures of a sandbox and of the host around it."""

from tests.sandbox import descriptors, repository, sandbox, searched_toolchains
from tests.workspace.host import host

__all__ = ["descriptors", "host", "repository", "sandbox", "searched_toolchains"]
