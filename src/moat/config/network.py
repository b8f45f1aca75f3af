"""The join of settings, `agent.yaml` and command line: what a run may reach.

`agent.yaml` may have been written by a hostile program, where there was none before, or by the author
of a project that was only cloned. So it is joined with the settings in such a way that:

- of two policies the stricter one holds, and of two captures the one that records more;
- the user's rules (and `allow`) come first, so `deny **` as the last of them leaves the project's rules
  nothing to allow;
- a name to which the settings give an address keeps that address.

Beyond that a project is trusted. Its `allow` and its rules open what the user's rules don't deny. Its
`tcp` and `passthrough` open what no rule denies as a whole (methods and paths aren't read there). Its
`private` reaches the user's LAN. Its `hosts` and `upstream_ca` together put a server of its choice in
the place of any host and make the run trust that server. A user who doesn't want this writes
`network.trust_project: false` into the settings; then `agent.yaml` may deny, but open nothing.

The command line is what the user says of this one run, and wins over both.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from moat.config import upstream
from moat.config.certificates import read_certificates, to_pem
from moat.config.network_fields import CAPTURES, MODES, bracketed, check_host
from moat.errors import UsageError
from moat.spec.hosts import canonical_host
from moat.spec.network import Network, Timeouts
from moat.spec.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    # The checked content under `network:` in a file; a field that isn't in the file isn't in here.
    Section = Mapping[str, Any]

T = TypeVar("T")


def join_network(
    file: Mapping[str, Any], user: Section | None = None, saved: tuple[str, ...] = ()
) -> Network:
    """Return the network that a project's file and the user's settings make together.

    `file`: the checked content of `agent.yaml`. `user`: `Settings.network`. `saved`: rules that the user
    saved with `--always`, which come before all others.

    Raises `UsageError` for certificates that can no longer be read.
    """
    ours: Section = user or {}
    theirs: Section = file.get("network", {})
    return Network(
        policy=_strictest(MODES, ours.get("policy"), theirs.get("policy")),
        rules=(*saved, *_rules_of(ours), *theirs.get("rules", ())),
        allow=tuple(theirs.get("allow", ())),
        tcp=_both(ours, theirs, "tcp"),
        passthrough=_both(ours, theirs, "passthrough"),
        hosts=_canonical(theirs.get("hosts", {})) | _canonical(ours.get("hosts", {})),
        private=tuple(bracketed(each) for each in _both(ours, theirs, "private")),
        upstream_ca=_certificates(ours) + _certificates(theirs),
        capture=_strictest(CAPTURES, ours.get("capture"), theirs.get("capture")),
        ask_timeout=_ask_timeout(ours, theirs),
        timeouts=_timeouts(ours, theirs),
    )


def with_command_line(
    network: Network, *, policy: str | None, allow: Iterable[str], deny: Iterable[str]
) -> Network:
    """Return the network with the options of the command line: its denials first, then what it allows.

    Raises `UsageError`.
    """
    rules = [*_option_rules("deny", deny), *_option_rules("allow", allow)]
    mode = network.policy if policy is None else policy
    if mode not in MODES:
        raise UsageError(f"there is no policy {mode!r}", f"There are: {', '.join(MODES)}")
    return replace(network, policy=mode, rules=(*rules, *network.rules))


def with_host_environment(network: Network, environment: Mapping[str, str]) -> Network:
    """Return the network with the host's own proxies and certificates (see `config.upstream`).

    Raises `UsageError`.
    """
    proxies = upstream.upstream_proxies(environment)
    return replace(
        network,
        upstream_proxy=proxies.tunnels,
        upstream_http_proxy=proxies.http,
        no_upstream_proxy=proxies.exceptions,
        upstream_ca=network.upstream_ca + to_pem(upstream.own_certificates(environment)),
    )


def redacted(network: Network) -> dict[str, Any]:
    """Return the network as it may be shown: without the proxies' passwords, certificates counted."""
    return asdict(network) | {
        "upstream_ca": network.upstream_ca.count("-----BEGIN "),
        "upstream_proxy": upstream.redacted(network.upstream_proxy),
        "upstream_http_proxy": upstream.redacted(network.upstream_http_proxy),
    }


def certificate_files(
    file: Mapping[str, Any], user: Section, environment: Mapping[str, str]
) -> list[Path]:
    """Return the files whose certificates a run trusts."""
    sections = (file.get("network", {}), user)
    named: list[str | None] = [section.get("upstream_ca") for section in sections]
    named.append(environment.get("SSL_CERT_FILE"))
    return [Path(each) for each in named if each]


def _rules_of(section: Section) -> list[str]:
    """Return the rules of a section, and its `allow` as rules behind them."""
    return [*section.get("rules", ()), *(f"allow {host}" for host in section.get("allow", ()))]


def _option_rules(verdict: str, hosts: Iterable[str]) -> list[str]:
    """Return the rules that `--allow HOST` or `--deny HOST` stand for. Raises `UsageError`."""
    rules: list[str] = []
    for host in hosts:
        try:
            check_host(host)
        except UsageError as exc:
            raise UsageError(f"--{verdict}: {exc.summary}", exc.hint) from None
        except ValueError as exc:
            raise UsageError(f"--{verdict}: {exc}", "Write HOST or HOST:PORT") from None
        rules.append(f"{verdict} {host}")
    return rules


def _strictest(scale: tuple[T, ...], *values: T | None) -> T:
    """Return the value that stands last in the scale, or the scale's first where all are `None`."""
    return scale[max(0 if each is None else scale.index(each) for each in values)]


def _both(ours: Section, theirs: Section, name: str) -> tuple[str, ...]:
    return (*ours.get(name, ()), *theirs.get(name, ()))


def _canonical(hosts: Mapping[str, str]) -> dict[str, str]:
    """Return addresses by canonical name, so that another spelling of a name isn't another name."""
    return {canonical_host(name): address for name, address in hosts.items()}


def _ask_timeout(ours: Section, theirs: Section) -> float:
    value: str | None = theirs.get("ask_timeout", ours.get("ask_timeout"))
    return Network().ask_timeout if value is None else parse_duration(value)


def _timeouts(ours: Section, theirs: Section) -> Timeouts:
    values: dict[str, str] = ours.get("timeouts", {}) | theirs.get("timeouts", {})
    return Timeouts(**{name: parse_duration(value) for name, value in values.items()})


def _certificates(section: Section) -> str:
    path: str | None = section.get("upstream_ca")
    return "" if path is None else to_pem(read_certificates(Path(path)))
