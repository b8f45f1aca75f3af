"""A sandbox to look from."""

from tests.sandbox import descriptors, repository, sandbox

__all__ = ["descriptors", "repository", "sandbox"]
