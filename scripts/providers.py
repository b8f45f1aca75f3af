# ruff: noqa: INP001  a script of its own, no part of a package
"""Print the reference of providers as docs/providers.md.

    python scripts/providers.py           print it
    python scripts/providers.py --write   write the document

tests/providers/test_reference.py fails if the document differs from `moat/providers/data`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from moat.providers import catalog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moat.providers.provider import Provider
    from moat.spec import Injection

DOCUMENT = Path(__file__).parents[1] / "docs" / "providers.md"

HEAD = """\
# Providers

These are the services whose credentials a run can be granted ([Credentials](credentials.md)). This page
is made from the files in `src/moat/providers/data`, by `python scripts/providers.py --write`. A file of
yours in `$MOAT_HOME/providers` adds a provider, or replaces one of these.

"""

PLACES = {
    "header": "the header field",
    "basic": "Basic authentication",
    "query": "the parameter",
    "path": "the path",
    "body": "the body",
    "sigv4": "the signature (AWS Signature Version 4)",
}


def document() -> str:
    """Return the document."""
    known = map(catalog.PROVIDERS.load, sorted(catalog.PROVIDERS.shipped.glob("*.yaml")))
    return HEAD + "\n".join(map(section, known))


def section(provider: Provider) -> str:
    """Return what a user wants to know of one provider."""
    lines = [f"## {provider.id}", "", f"**{provider.title}.** {provider.notes}".strip(), ""]
    lines += [f"- **Granted** {each}" for each in obtained(provider)]
    lines += [f"- **Used at** {used(each)}" for each in provider.inject]
    if provider.hosts:
        lines.append(f"- **Opened, too**: {codes(provider.hosts)}")
    if provider.env:
        lines.append(f"- **Variables** in the sandbox: {codes(provider.env)}")
    if provider.files:
        lines.append(
            f"- **Files** in the sandbox: {codes(f'~/{each.path}' for each in provider.files)}"
        )
    return "".join(f"{line}\n" for line in lines)


def obtained(provider: Provider) -> list[str]:
    """Return the ways to a credential."""
    recipe = provider.recipe
    name = f"{provider.id}:{provider.scope.upper()}" if provider.scope else provider.id
    if provider.scope in recipe.attributes:
        name = f"{provider.id}[:{provider.scope.upper()}]"
    sources = f", from {', '.join(recipe.sources)}" if recipe.sources else ""
    ways = [f"by `moat grant {name}`{sources}"]
    typed = [f"`{each.name}`" + (" (optional)" if each.optional else "") for each in recipe.typed]
    if "stdin" in recipe.sources and len(typed) > 1:
        ways.append(f"from a JSON object on standard input, with {', '.join(typed)}")
    variables = [each for fields in recipe.variables for names in fields.values() for each in names]
    if variables:
        ways.append(f"from the variables {codes(variables)}")
    commands = [" ".join((each.program, *each.arguments)) for each in recipe.commands]
    if commands:
        ways.append(f"from the output of {codes(commands)}")
    if recipe.files:
        ways.append(f"from the login in {codes(each.path for each in recipe.files)}")
    return ways


def used(injection: Injection) -> str:
    """Return where a credential goes, and how."""
    name = f" `{injection.name}`" if injection.kind in {"header", "query"} else ""
    ports = f", port {', '.join(map(str, injection.ports))}" if injection.ports != (443,) else ""
    paths = f", paths {codes(injection.paths)}" if injection.paths else ""
    how = " where the placeholder stands" if injection.replace else ""
    return f"{codes(injection.hosts)}{ports}{paths}: in {PLACES[injection.kind]}{name}{how}"


def codes(texts: Iterable[str]) -> str:
    """Return texts as code."""
    return ", ".join(f"`{each}`" for each in texts)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        DOCUMENT.write_text(document())
    else:
        sys.stdout.write(document())
