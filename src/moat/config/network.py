"""The join of settings, `agent.yaml` and command line: what a run may reach.

`agent.yaml` may have been written by a hostile program, where there was none before, or by the author
of a project that was only cloned. So it is joined with the settings in such a way that:

- of two policies the stricter one holds, of two captures the one that records more, and of two timeouts
  the shorter one;
- the user's rules (and `allow`) come first, so `deny **` as the last of them leaves the project's rules
  nothing to allow;
- a host that the user's own words name is the user's: no project gives it an address or an authority
  (`own_hosts`).

What a project opens beyond that holds with the user's consent alone (`consent`), for it is much. Its
`allow` and its rules open what the user's rules don't deny. Its `tcp` and `passthrough` open what no
rule denies as a whole (methods and paths aren't read there). Its `private` reaches the user's LAN. Its
`hosts` and `upstream_ca` together put a server of its choice in the place of another.

The command line is what the user says of this one run, and wins over both.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from moat.config import own_hosts, upstream
from moat.config.certificates import to_pem
from moat.config.network_fields import CAPTURES, MODES, bracketed, check_host, host_service
from moat.errors import UsageError
from moat.spec.hosts import canonical_host
from moat.spec.network import HOST_NAME, HostService, Network, Timeouts
from moat.spec.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moat.config.certificates import CertificateFile
    from moat.spec.network import PolicyMode

    # The checked content under `network:` in a file; a field that isn't in the file isn't in here.
    Section = Mapping[str, Any]

T = TypeVar("T")


def join_network(  # noqa: PLR0913  an option each
    project: Section,
    user: Section | None = None,
    saved: Iterable[str] = (),
    *,
    policy: str | None = None,
    allow: Iterable[str] = (),
    deny: Iterable[str] = (),
    host_ports: Iterable[str] = (),
) -> Network:
    """Return the network that a project, the user's settings and the command line make together.

    `project`: the checked content under `network:` of its file. `user`: `Settings.network`. `saved`:
    rules that the user saved with `--always`, which come before those of the settings. The others are
    options of the command line; denials come first, because that is the safer order.

    Raises `UsageError`, also for an address that the project gives to a host of the user's.
    """
    ours: Section = user or {}
    theirs = project
    services = [host_service(each) for each in host_ports]
    options = (
        *_option_rules("deny", deny),
        *_option_rules("allow", allow),
        *(f"allow {HOST_NAME}:{each.port}" for each in services),
    )
    rules = (*options, *saved, *_rules_of(ours))
    own = own_hosts.named(ours, rules)
    hosts = _canonical(ours.get("hosts", {}))
    theirs_alone = {
        name: address
        for name, address in _canonical(theirs.get("hosts", {})).items()
        if name not in hosts
    }
    own_hosts.refuse_addresses(own, theirs_alone)
    return Network(
        policy=_policy(ours, theirs, policy),
        rules=(*rules, *theirs.get("rules", ())),
        allow=tuple(theirs.get("allow", ())),
        tcp=_both(ours, theirs, "tcp"),
        passthrough=_both(ours, theirs, "passthrough"),
        hosts=hosts | theirs_alone,
        host=_host_services(services, ours, theirs),
        private=tuple(bracketed(each) for each in _both(ours, theirs, "private")),
        upstream_ca=_certificates(ours),
        project_ca=_certificates(theirs),
        project_ca_hosts=own_hosts.authority_hosts(own, theirs) if "upstream_ca" in theirs else (),
        capture=_strictest(CAPTURES, ours.get("capture"), theirs.get("capture")),
        ask_timeout=_ask_timeout(ours, theirs),
        timeouts=_timeouts(ours, theirs),
    )


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
        "project_ca": network.project_ca.count("-----BEGIN "),
        "upstream_proxy": upstream.redacted(network.upstream_proxy),
        "upstream_http_proxy": upstream.redacted(network.upstream_http_proxy),
    }


def certificate_files(
    project: Section, user: Section, environment: Mapping[str, str]
) -> list[Path]:
    """Return the files whose certificates a run trusts."""
    files: list[CertificateFile | None] = [each.get("upstream_ca") for each in (project, user)]
    named = environment.get("SSL_CERT_FILE")
    return [each.path for each in files if each] + ([Path(named)] if named else [])


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


def _policy(ours: Section, theirs: Section, asked: str | None) -> PolicyMode:
    if asked is None:
        return _strictest(MODES, ours.get("policy"), theirs.get("policy"))
    for mode in MODES:
        if mode == asked:
            return mode
    raise UsageError(f"there is no policy {asked!r}", f"There are: {', '.join(MODES)}")


def _both(ours: Section, theirs: Section, name: str) -> tuple[str, ...]:
    return (*ours.get(name, ()), *theirs.get(name, ()))


def _host_services(
    given: Iterable[HostService], ours: Section, theirs: Section
) -> tuple[HostService, ...]:
    """Return the services, of which a name means the first that has it. Raises `UsageError`."""
    listed = (host_service(each) for each in _both(ours, theirs, "host"))
    services = tuple(dict.fromkeys((*given, *listed)))
    names = [each.name for each in services if each.name]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"two services of this machine are called {name}", "Give one another name"
            )
    return services


def _canonical(hosts: Mapping[str, str]) -> dict[str, str]:
    """Return addresses by canonical name, so that another spelling of a name isn't another name."""
    return {canonical_host(name): address for name, address in hosts.items()}


def _ask_timeout(ours: Section, theirs: Section) -> float:
    given = [
        parse_duration(each["ask_timeout"]) for each in (ours, theirs) if "ask_timeout" in each
    ]
    return min(given, default=Network().ask_timeout)


def _timeouts(ours: Section, theirs: Section) -> Timeouts:
    shortest: dict[str, float] = {}
    for section in (ours, theirs):
        for name, value in section.get("timeouts", {}).items():
            seconds = parse_duration(value)
            shortest[name] = min(seconds, shortest.get(name, seconds))
    return Timeouts(**shortest)


def _certificates(section: Section) -> str:
    authorities: CertificateFile | None = section.get("upstream_ca")
    return "" if authorities is None else authorities.pem
