"""The proposal: lines for `agent.yaml`, made of findings, and suggestions for the user to decide. Pure.

A line is one that holds as it stands. What needs something else first, such as a service that has to run
on this machine or a value that only the user knows, is a suggestion, a comment in a new file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moat.config import ports
from moat.errors import UsageError
from moat.spec.dependency import Dependency
from moat.spec.rules import Rule, host_rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from moat.survey.finding import Finding, Kind

_MOST: Final = 40
"""The most lines of one field, and the most suggestions of one kind."""
_MOST_HOSTS: Final = 12
_EXACT: Final = re.compile(r"[v^~=\s]*([0-9]+(?:\.[0-9]+)*)(?:\.[x*])*")
_SLUG: Final = re.compile(r"[^a-z0-9]+")
_VARIABLE: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
# They decide which programs run, or whom those trust: Moat sets them, or nobody should.
_KEPT: Final = re.compile(
    r"PATH|HOME|USER|SHELL|TMPDIR|BASH_ENV|ENV|LD_\w+|GIT_\w+|NODE_OPTIONS|NODE_EXTRA_CA_CERTS"
    r"|PYTHON(?:PATH|STARTUP|HOME)|(?:\w+_)?PROXY|SSL_CERT_\w+|\w*CA_BUNDLE",
    re.IGNORECASE,
)


class Line(NamedTuple):
    """A line of `agent.yaml`: an item of a list, or a name with its value."""

    field: tuple[str, ...]
    """The names that lead to the list or map."""
    name: str
    """The name in a map; empty in a list."""
    value: str
    comment: str
    """The file that the line comes from."""


class Proposal(NamedTuple):
    lines: tuple[Line, ...]
    suggestions: tuple[str, ...]
    """Each one line of plain text."""


def propose(
    findings: Sequence[Finding],
    existing: Mapping[str, Any],
    chooses_version: Callable[[str], bool],
    *,
    images: bool,
) -> Proposal:
    """Return what isn't in the `existing` content of the file yet.

    `chooses_version` tells whether an entry of the registry can be had in any version. With `images`,
    runs are made from an image of the dependencies; without, those are a suggestion.
    """
    wanted = tuple(_dependencies(findings, existing.get("dependencies", ()), chooses_version))
    lines = (
        *(wanted if images else ()),
        *_variables(findings, existing.get("env", {})),
        *_ports(findings, existing.get("ports", {})),
        *_hosts(findings, existing.get("network", {})),
    )
    suggestions = (
        *(() if images else _image_suggestion(wanted)),
        *_image_names(findings, existing),
        *_services(findings),
        *_names(findings, existing.get("env", {})),
        *_commands(findings),
    )
    return Proposal(lines, suggestions)


def _of(kind: Kind, findings: Iterable[Finding]) -> Iterator[Finding]:
    return (each for each in findings if each.kind == kind)


def _dependencies(
    findings: Sequence[Finding], there: Iterable[str], chooses_version: Callable[[str], bool]
) -> Iterator[Line]:
    """Yield each dependency once, in the first version that a file says."""
    known = {(each.kind, each.name) for each in map(Dependency.parse, there)}
    chosen: dict[str, Finding] = {}
    for each in _of("dependency", findings):
        before = chosen.setdefault(each.name, each)
        if each.value and not before.value:
            chosen[each.name] = each
    for name, found in list(chosen.items())[:_MOST]:
        parsed = Dependency.parse(name)
        if (parsed.kind, parsed.name) not in known:
            version = _version(name, found.value) if chooses_version(name) else ""
            text = f"{name}@{version}" if version else name
            is_left_out = found.value and not version
            comment = f"{found.source}: {found.value}" if is_left_out else found.source
            yield Line(("dependencies",), "", text, comment)


def _version(name: str, text: str) -> str:
    """Return a version, or the beginning of one; empty for a range and for a name."""
    found = _EXACT.fullmatch(text)
    if found is None:
        return ""
    # Not every version of Node.js is where the registry has it from, but each of these.
    return found[1].partition(".")[0] if name == "node" else found[1]


def _variables(findings: Sequence[Finding], there: Mapping[str, Any]) -> Iterator[Line]:
    names = set(there)
    for each in list(_of("variable", findings))[:_MOST]:
        if (
            each.name not in names
            and _VARIABLE.fullmatch(each.name)
            and not _KEPT.fullmatch(each.name)
        ):
            names.add(each.name)
            yield Line(("env",), each.name, each.value, each.source)


def _ports(findings: Sequence[Finding], there: Mapping[str, str]) -> Iterator[Line]:
    names = set(there)
    numbers = {ports.parse(text).port for text in there.values()}
    for each in _of("port", findings):
        if len(names) >= min(_MOST, ports.MOST_PORTS):
            return
        try:
            number = ports.parse(each.value).port
        except UsageError:
            continue
        if number not in numbers:
            name = _name(each.name, number, names)
            names.add(name)
            numbers.add(number)
            yield Line(("ports",), name, str(number), each.source)


def _name(label: str, number: int, taken: set[str]) -> str:
    """Return a name for a port that no other one has."""
    name = _SLUG.sub("-", label.lower()).strip("-")[:24].strip("-")
    if not name or not name[0].isalpha():
        name = "web"
    return f"{name}-{number}" if name in taken else name


def _hosts(findings: Sequence[Finding], there: Mapping[str, Any]) -> Iterator[Line]:
    known = [host_rule(each) for each in there.get("allow", ())]
    known += [Rule.parse(each) for each in there.get("rules", ())]
    most = len(known) + _MOST_HOSTS
    for each in _of("host", findings):
        if len(known) >= most:
            return
        try:
            rule = host_rule(each.name)
        except (UsageError, ValueError):
            continue
        is_public = "." in rule.host and not rule.host.replace(".", "").isdecimal()
        if is_public and not any(one.matches_host(rule.host, rule.port or 443) for one in known):
            known.append(rule)
            yield Line(("network", "allow"), "", each.name, each.source)


def _image_suggestion(lines: Sequence[Line]) -> Iterator[str]:
    if lines:
        listed = ", ".join(each.value for each in lines)
        yield f"runs have this machine's programs; for an image with its own: dependencies: [{listed}]"


def _image_names(findings: Sequence[Finding], existing: Mapping[str, Any]) -> Iterator[str]:
    if "base_image" not in existing:
        for each in list(_of("image", findings))[:_MOST]:
            yield f"{each.source} uses an image; for runs in one like it: base_image: {each.name}"


def _services(findings: Sequence[Finding]) -> Iterator[str]:
    for each in list(_of("service", findings))[:_MOST]:
        name, _, port = each.name.partition(":")
        if port and not port.isdecimal():
            continue  # a name that means something to YAML, and to nobody else
        what = f"{each.source} has a service {name} ({each.value})"
        yield f"{what}; if it runs on this machine, let runs reach it: network.host: [{port or 'PORT'}]"


def _names(findings: Sequence[Finding], there: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each file that names variables, of which only the user knows the values."""
    files: dict[str, list[str]] = {}
    for each in _of("name", findings):
        if each.name not in there:
            files.setdefault(each.source, []).append(each.name)
    for source, names in list(files.items())[:_MOST]:
        listed = ", ".join(names[:_MOST])
        yield f"{source} names variables; with env: {{NAME: value}} or secrets: runs have them: {listed}"


def _commands(findings: Sequence[Finding]) -> Iterator[str]:
    for each in list(_of("command", findings))[:_MOST]:
        yield f"{each.source} has a {each.name}, which Moat doesn't run: {each.value}"
