"""A sandbox to look from."""

from tests.sandbox import descriptors, repository, sandbox, searched_toolchains

__all__ = ["descriptors", "repository", "sandbox", "searched_toolchains"]
