"""Fixtures of a sandbox and of the host around it."""

from tests.sandbox import descriptors, repository, sandbox, searched_toolchains
from tests.workspace.copied import copied
from tests.workspace.host import host
from tests.workspace.recorded import recorded

__all__ = [
    "copied",
    "descriptors",
    "host",
    "recorded",
    "repository",
    "sandbox",
    "searched_toolchains",
]
