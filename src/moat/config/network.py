"""Who may say what a run can reach: the user's settings, the project's `agent.yaml`, the command line.

A hostile program may have written `agent.yaml` where there was none, and so may the author of a project
that was only cloned. What it says is therefore joined with the settings so that these hold:

- of two policies the stricter is taken, of two captures the one that records more;
- the user's rules (and `allow`) come first. `deny **` as the last of them leaves the project's
  nothing to allow;
- a name that the settings give an address keeps it.

Beyond that a project is trusted: its `allow` and its rules open what the user's rules do not deny, its
`tcp` and `passthrough` what no rule denies as a whole (methods and paths of it are not read); its
`private` reaches the user's LAN; its `hosts` and `upstream_ca` together put a server of its choice in
the place of any host, and make the run trust it. Who does not want that says
`network.trust_project: false` in the settings: `agent.yaml` may then narrow, and open nothing.

The command line is the user's own word for one run, and wins over both.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from moat.config import upstream
from moat.config.certificates import pem, read_certificates
from moat.config.network_fields import CAPTURES, MODES, bracketed, check_host
from moat.errors import UsageError
from moat.spec.hosts import canonical_host
from moat.spec.network import Network
from moat.spec.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    # What a checked file says under `network:`; what it does not mention is not in it.
    Said = Mapping[str, Any]

T = TypeVar("T")


def network_of(
    file: Mapping[str, Any], user: Said | None = None, remembered: tuple[str, ...] = ()
) -> Network:
    """What a project's checked file asks for, under the user's own settings (`Settings.network`).

    `remembered`: rules that the user gave `--always`, which come before all others.

    Raises `UsageError` for certificates that can't be read (any longer).
    """
    ours: Said = user or {}
    theirs: Said = file.get("network", {})
    seconds = {
        name: parse_duration(value)
        for name, value in (ours.get("timeouts", {}) | theirs.get("timeouts", {})).items()
    }
    default = Network()
    ask_timeout: str | None = theirs.get("ask_timeout", ours.get("ask_timeout"))
    return Network(
        policy=_further(MODES, ours.get("policy"), theirs.get("policy")),
        rules=(
            *remembered,
            *ours.get("rules", ()),
            *(f"allow {host}" for host in ours.get("allow", ())),
            *theirs.get("rules", ()),
        ),
        allow=tuple(theirs.get("allow", ())),
        tcp=_both(ours, theirs, "tcp"),
        passthrough=_both(ours, theirs, "passthrough"),
        hosts=_by_name(theirs.get("hosts", {})) | _by_name(ours.get("hosts", {})),
        private=tuple(bracketed(each) for each in _both(ours, theirs, "private")),
        upstream_ca=_certificates(ours) + _certificates(theirs),
        capture=_further(CAPTURES, ours.get("capture"), theirs.get("capture")),
        ask_timeout=default.ask_timeout if ask_timeout is None else parse_duration(ask_timeout),
        timeouts=replace(default.timeouts, **seconds),
    )


def commanded(
    network: Network, *, policy: str | None, allow: Iterable[str], deny: Iterable[str]
) -> Network:
    """With what the command line says: its denials, then what it allows, then all else.

    Raises `UsageError`.
    """
    rules = [*_rules("deny", deny), *_rules("allow", allow)]
    mode = network.policy if policy is None else policy
    if mode not in MODES:
        raise UsageError(f"there is no policy {mode!r}", f"There are: {', '.join(MODES)}")
    return replace(network, policy=mode, rules=(*rules, *network.rules))


def with_host(network: Network, environment: Mapping[str, str]) -> Network:
    """With the host's own proxy and certificates (see `config.upstream`). Raises `UsageError`."""
    proxies = upstream.upstream_proxies(environment)
    return replace(
        network,
        upstream_proxy=proxies.tunnels,
        upstream_http_proxy=proxies.http,
        no_upstream_proxy=proxies.exceptions,
        upstream_ca=network.upstream_ca + pem(upstream.own_certificates(environment)),
    )


def shown(network: Network) -> dict[str, Any]:
    """As people may see it: the proxies without their passwords, certificates counted."""
    return asdict(network) | {
        "upstream_ca": network.upstream_ca.count("-----BEGIN "),
        "upstream_proxy": upstream.redacted(network.upstream_proxy),
        "upstream_http_proxy": upstream.redacted(network.upstream_http_proxy),
    }


def _rules(verdict: str, hosts: Iterable[str]) -> list[str]:
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


def _further(scale: tuple[T, ...], *given: T | None) -> T:
    """Of what is given, that which stands last in the scale; its first where nothing is."""
    return scale[max(0 if each is None else scale.index(each) for each in given)]


def _both(ours: Said, theirs: Said, name: str) -> tuple[str, ...]:
    return (*ours.get(name, ()), *theirs.get(name, ()))


def _by_name(hosts: Mapping[str, str]) -> dict[str, str]:
    """By the one form of each name, so that no other spelling of it is another name."""
    return {canonical_host(name): address for name, address in hosts.items()}


def certificate_files(
    file: Mapping[str, Any], user: Said, environment: Mapping[str, str]
) -> list[Path]:
    """Where the certificates come from that a run trusts."""
    named: list[str | None] = [said.get("upstream_ca") for said in (file.get("network", {}), user)]
    named.append(environment.get("SSL_CERT_FILE"))
    return [Path(each) for each in named if each]


def _certificates(said: Said) -> str:
    path: str | None = said.get("upstream_ca")
    return "" if path is None else pem(read_certificates(Path(path)))
