"""The proxies that are compared, each set up as its own manual recommends for this work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lab import HERE, Contender
from processes import free_port

from moat.egress.ingress.listeners import PROXY_PORT
from moat.egress.tls.ca import CertificateAuthority

if TYPE_CHECKING:
    from lab import Lab

OUR_KINDS = {
    "127.0.0.2": ("moat", "bare"),
    "127.0.0.3": ("moat, two grants", "granted"),
    "127.0.0.4": ("moat, no audit log", "unaudited"),
}
"""Moat's proxy has a fixed port, so each kind has an address of its own, which is not the usual one."""
SQUID_HELPER = Path("/usr/lib/squid/security_file_certgen")


def contenders(lab: Lab) -> list[Contender]:
    """Start the proxies that this machine has, and name the missing ones on stderr."""
    found = [Contender("no proxy", "", lab.roots, 0)]
    if shutil.which("tinyproxy"):
        found.append(_tunnel(lab))
    else:
        _missing("tinyproxy")
    found += [_moat(lab, name, address, kind) for address, (name, kind) in OUR_KINDS.items()]
    if shutil.which("squid") and SQUID_HELPER.exists():
        found.append(_squid(lab))
    else:
        _missing("squid with ssl-bump (package squid-openssl)")
    mitmdump = os.environ.get("MITMDUMP") or shutil.which("mitmdump")
    if mitmdump:
        found.append(_mitmproxy(lab, mitmdump))
    else:
        _missing("mitmdump (MITMDUMP=... says where)")
    return found


def _missing(what: str) -> None:
    sys.stderr.write(f"no {what} here: its row is missing\n")


def _tunnel(lab: Lab) -> Contender:
    port = free_port()
    conf = lab.folder / "tinyproxy.conf"
    conf.write_text(f"Port {port}\nListen 127.0.0.1\nTimeout 600\nMaxClients 200\nLogLevel Error\n")
    pid = lab.start("tinyproxy", "-d", "-c", str(conf), port=port)
    return Contender("tunnel (tinyproxy)", f"127.0.0.1:{port}", lab.roots, pid)


def _moat(lab: Lab, name: str, address: str, kind: str) -> Contender:
    folder = lab.folder / address
    folder.mkdir()
    ours = (sys.executable, str(HERE / "ours.py"), str(folder), address, str(lab.roots), kind)
    pid = lab.start(*ours, *map(str, lab.ports), port=PROXY_PORT, address=address)
    roots = folder / "roots.pem"
    roots.write_bytes(CertificateAuthority.load_or_create(folder).certificate_pem)
    return Contender(name, f"{address}:{PROXY_PORT}", roots, pid)


def _squid(lab: Lab) -> Contender:
    """Start squid, bumping in the first step, as Moat does.

    It then needs no new connection to the server for each new client, which makes it four times as fast.
    Its access log corresponds to Moat's record.
    """
    port, folder = free_port(), lab.folder / "squid"
    folder.mkdir()
    subprocess.run(
        [SQUID_HELPER, "-c", "-s", folder / "certificates", "-M", "4MB"],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    signing = folder / "signing.pem"
    signing.write_bytes((lab.folder / "authority.pem").read_bytes())
    conf = folder / "squid.conf"
    conf.write_text(
        f"http_port 127.0.0.1:{port} ssl-bump cert={signing} generate-host-certificates=on"
        " dynamic_cert_mem_cache_size=4MB\n"
        f"sslcrtd_program {SQUID_HELPER} -s {folder}/certificates -M 4MB\n"
        "ssl_bump bump all\nhttp_access allow all\ncache deny all\nworkers 1\n"
        f"shutdown_lifetime 0 seconds\ntls_outgoing_options cafile={lab.roots}\n"
        f"access_log stdio:{folder}/access.log\ncache_log {folder}/cache.log\n"
        f"pid_filename {folder}/squid.pid\ncoredump_dir {folder}\n"
    )
    if os.geteuid() == 0:  # squid then changes its user
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, "proxy", "proxy")
    pid = lab.start("squid", "-N", "-f", str(conf), port=port)
    return Contender("squid (ssl-bump)", f"127.0.0.1:{port}", lab.roots, pid)


def _mitmproxy(lab: Lab, mitmdump: str) -> Contender:
    """Start mitmproxy, which streams large bodies when told to. Events it still holds back."""
    port, folder = free_port(), lab.folder / "mitmproxy"
    folder.mkdir()
    settings = (
        f"confdir={folder}",
        f"ssl_verify_upstream_trusted_ca={lab.roots}",
        "stream_large_bodies=1m",
    )
    options = [word for each in settings for word in ("--set", each)]
    pid = lab.start(mitmdump, "-q", "-p", str(port), *options, port=port)
    return Contender("mitmproxy", f"127.0.0.1:{port}", folder / "mitmproxy-ca-cert.pem", pid)
