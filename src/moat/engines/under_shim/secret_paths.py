"""Names of files and folders that often hold secrets. The sandbox sees none of them. Pure data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

HOME: Final[Mapping[str, str]] = {
    ".aws": "AWS CLI and SDKs",
    ".azure": "Azure CLI",
    ".boto": "gsutil",
    ".cargo/credentials": "Cargo, before 1.39",
    ".cargo/credentials.toml": "Cargo",
    ".claude/.credentials.json": "Claude Code",
    ".codex/auth.json": "Codex CLI",
    ".config": "gh, gcloud and many others",
    ".docker": "Docker",
    ".gem/credentials": "RubyGems",
    ".gemini": "Gemini CLI",
    ".git-credentials": "git",
    ".gnupg": "GnuPG",
    ".kube": "kubectl",
    ".local/share/keyrings": "GNOME Keyring",
    ".local/share/uv/credentials": "uv",
    ".local/state": "histories of editors and others",
    ".moat": "Moat",
    ".mozilla": "Firefox",
    ".netrc": "curl, git and others",
    ".npmrc": "npm",
    ".password-store": "pass",
    ".pki": "Chromium",
    ".pypirc": "twine",
    ".ssh": "OpenSSH",
    ".terraform.d": "Terraform",
    ".thunderbird": "Thunderbird",
    ".vault-token": "Vault",
}
"""Paths below the user's home folder, and the program whose secrets each holds."""

ETC_NAMES: Final = frozenset(
    (
        *("auth.conf", "auth.conf.d", "boto.cfg", "ddclient.conf", "environment"),
        *("environment.d", "exports", "fstab", "krb5.keytab", "msmtprc", "netrc", "npmrc"),
        *("odbc.ini", "pip.conf", "s3cfg"),
    )
)
"""Names at any depth of /etc that often hold secrets although everybody may read them."""

ETC_SERVICES: Final = frozenset(
    (
        *("NetworkManager", "PackageKit", "apache2", "apparmor", "apparmor.d", "cloud", "cni"),
        *("containerd", "cron.d", "cron.daily", "cron.hourly", "cron.monthly", "cron.weekly"),
        *("dbus-1", "dhcp", "docker", "exim4", "init.d", "kernel", "kubernetes", "ldap"),
        *("letsencrypt", "lighttpd", "logcheck", "logrotate.d", "modprobe.d", "modules-load.d"),
        *("mysql", "needrestart", "network", "nginx", "openvpn", "pam.d", "polkit-1", "postfix"),
        *("postgresql", "ppp", "rancher", "rc0.d", "rc1.d", "rc2.d", "rc3.d", "rc4.d", "rc5.d"),
        *("rc6.d", "rcS.d", "redis", "rsyslog.d", "security", "selinux", "ssmtp", "sudoers.d"),
        *("sysctl.d", "systemd", "tmpfiles.d", "udev", "update-motd.d", "vault.d", "wireguard"),
    )
)
"""Names at the top of /etc: settings of the machine's services, of its boot and of logins.

Nothing in the sandbox needs them, and passwords are found there too.
"""
