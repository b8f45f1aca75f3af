"""The budget of a run: the table of its fields, and those of three sources joined. Pure.

What a project says can only lower the user's own, as with other limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moat.config.fields import Effect, Field, not_negative
from moat.errors import UsageError
from moat.spec.budget import ON_LIMIT, Budget, ModelPrice
from moat.spec.units import parse_count, parse_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_MOST_DOLLARS: Final = 1e6


def parse_cost(text: str) -> float:
    """Return an amount of US dollars. Raises `UsageError` for anything but a positive amount."""
    try:
        amount = float(text.strip().removeprefix("$"))
    except ValueError:
        amount = 0.0
    if not 0 < amount < _MOST_DOLLARS:
        raise UsageError(f"{text!r} is not an amount of dollars", "Write it like 5 or 0.50")
    return amount


AMOUNTS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "requests": lambda value: parse_count(str(value)),
    "bytes_out": lambda value: parse_memory(str(value)),
    "tokens": lambda value: parse_count(str(value)),
    "cost": lambda value: parse_cost(str(value)),
}
"""Readers of the amounts of each limit. They raise `UsageError`."""


def _amount(name: str, description: str) -> Field:
    return Field("quantity", description, AMOUNTS[name], effect=Effect.NEUTRAL)


FIELDS: Final = {
    "requests": _amount(
        "requests", "Requests to servers that the run may make in all, like 500 or 20k."
    ),
    "bytes_out": _amount("bytes_out", "Bytes that the run may send to servers in all, like 100m."),
    "tokens": _amount(
        "tokens", "Tokens of language models that the run may use up, like 200k or 2m."
    ),
    "cost": _amount("cost", "US dollars that these tokens may cost, by list prices and yours."),
    "on_limit": Field(
        "enum",
        "What follows when one of these four is used up: requests wait for your answer, or are denied"
        " (without it), or the run is stopped. Of a project's and yours, the stricter one holds.",
        choices=ON_LIMIT,
        effect=Effect.NEUTRAL,
    ),
}


def _price(given: Mapping[str, Any]) -> ModelPrice:
    for name in ("model", "input", "output"):
        if name not in given:
            raise ValueError(f"a price lacks its {name}")
    for name, rate in given.items():
        if name != "model" and not rate < _MOST_DOLLARS:
            raise ValueError(f"{rate:g} dollars for a million tokens is no price")
    return ModelPrice(**{**given, "model": given["model"].lower()})


PRICES: Final = Field(
    "objects",
    "Prices of models that Moat doesn't know, or has other prices of; the first that matches counts.",
    fields={
        "model": Field("string", "The model's name; may have * in it."),
        "input": Field("number", "US dollars for a million tokens of input.", not_negative),
        "output": Field("number", "The same for output.", not_negative),
        "cache_read": Field(
            "number", "The same for input from a cache; without it, that of input.", not_negative
        ),
        "cache_write": Field(
            "number",
            "The same for input put into a cache; without it, that of input.",
            not_negative,
        ),
    },
    each=_price,
)


def prices(section: Iterable[Mapping[str, Any]]) -> tuple[ModelPrice, ...]:
    """Return the prices of a settings file. Raises `ValueError`."""
    return tuple(map(_price, section))


def assignments(words: Iterable[str]) -> dict[str, str]:
    """Return the words `KEY=VALUE` of a command line by key. Raises `UsageError`."""
    found: dict[str, str] = {}
    for word in words:
        name, is_assignment, value = word.partition("=")
        if not is_assignment or name not in FIELDS:
            raise UsageError(
                f"{word!r} is no limit", f"Write KEY=VALUE, with one of {', '.join(FIELDS)}"
            )
        found[name] = value
    if found.get("on_limit", "deny") not in ON_LIMIT:
        raise UsageError(
            f"on_limit can't be {found['on_limit']!r}", f"It is one of {', '.join(ON_LIMIT)}"
        )
    return found


def join(
    words: Iterable[str],
    project: Mapping[str, Any],
    own: Mapping[str, Any],
    own_prices: tuple[ModelPrice, ...] = (),
) -> Budget:
    """Return a run's budget. Raises `UsageError` for an amount that can't be read.

    The `words` of the command line win. Of the project's and the user's `own`, the lower amount and
    the stricter consequence count.
    """
    options = assignments(words)
    amounts = {name: least(name, AMOUNTS[name], options, project, own) for name in AMOUNTS}
    chosen = [options["on_limit"]] if "on_limit" in options else []
    chosen = chosen or [each["on_limit"] for each in (project, own) if "on_limit" in each]
    on_limit = max(map(ON_LIMIT.index, chosen), default=ON_LIMIT.index("deny"))
    return Budget(**amounts, on_limit=ON_LIMIT[on_limit], prices=own_prices)


def least(
    name: str,
    read: Callable[[Any], Any],
    options: Mapping[str, Any],
    project: Mapping[str, Any],
    own: Mapping[str, Any],
) -> Any:
    """Return the bound of that name: an option's, or else the lower one of the files; `None` without."""
    if options.get(name) is not None:
        return read(options[name])
    return min((read(each[name]) for each in (project, own) if name in each), default=None)
