"""An entry of the registry: a service by the name that `services:` gives it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from moat.spec.service import Readiness


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A service that runs can have. Its texts may name what `spec.service.Service` says."""

    id: str
    title: str
    image: str
    """Its image, without a tag: the version that is asked for is the tag."""
    default: str
    """The version where none is asked for."""
    notes: str = ""
    """Remarks for the user."""
    ports: tuple[int, ...]
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    command: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    data: str = ""
    """The folder in which it keeps its data, which a volume takes the place of."""
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    ready: Readiness = field(default_factory=Readiness)
    builtin: bool = True
