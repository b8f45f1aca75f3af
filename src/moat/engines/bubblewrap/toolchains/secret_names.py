"""Names that hold secrets wherever they lie: what no toolchain shows, at any depth. Pure.

`secret_paths` has the places of a home folder and of /etc. These names are for folders that a sandbox
does show, where somebody may have left a secret beside programs: an installation, a virtual
environment, a project whose `bin` is on PATH.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

FILES: Final[Mapping[str, str]] = {
    # package managers
    ".npmrc": "npm, pnpm",
    "npmrc": "npm",
    ".yarnrc": "Yarn",
    ".yarnrc.yml": "Yarn",
    "pip.conf": "pip",
    "pip.ini": "pip",
    "uv.toml": "uv",
    ".pypirc": "twine",
    ".condarc": "conda",
    "condarc": "conda",
    ".gemrc": "RubyGems",
    "gradle.properties": "Gradle",
    "settings-security.xml": "Maven",
    "nuget.config": "NuGet",
    "NuGet.config": "NuGet",
    "NuGet.Config": "NuGet",
    ".bunfig.toml": "Bun",
    "bunfig.toml": "Bun",
    # clients
    ".netrc": "curl, git and others",
    "_netrc": "curl, git and others",
    "netrc": "curl, git and others",
    ".git-credentials": "git",
    ".gitconfig": "git",
    ".git": "git, in a worktree",
    ".s3cfg": "s3cmd",
    ".boto": "gsutil",
    ".pgpass": "PostgreSQL",
    ".my.cnf": "MySQL",
    ".mylogin.cnf": "MySQL",
    ".htpasswd": "web servers",
    ".dockercfg": "Docker",
    ".terraformrc": "Terraform",
    "terraform.tfstate": "Terraform",
    ".vault-token": "Vault",
    "kubeconfig": "kubectl",
    ".rclone.conf": "rclone",
    "rclone.conf": "rclone",
    ".msmtprc": "msmtp",
    ".Renviron": "R",
    # files with credentials, by their most usual names
    "credentials": "Cargo, AWS, RubyGems and others",
    "credentials.toml": "Cargo",
    "credentials.json": "Google's and others",
    "credentials.yml": "many",
    "credentials.yaml": "many",
    "credentials.db": "gcloud",
    "access_tokens.db": "gcloud",
    "application_default_credentials.json": "gcloud",
    ".credentials.json": "Claude Code",
    "credentials.tfrc.json": "Terraform",
    "credentials.yml.enc": "Rails",
    "master.key": "Rails",
    "service-account.json": "Google's services",
    "service_account.json": "Google's services",
    "secrets.json": "many",
    "secrets.toml": "many",
    "secrets.yml": "many",
    "secrets.yaml": "many",
    ".secrets": "many",
    ".envrc": "direnv",
    # keys
    "id_rsa": "OpenSSH",
    "id_dsa": "OpenSSH",
    "id_ecdsa": "OpenSSH",
    "id_ed25519": "OpenSSH",
    "id_ecdsa_sk": "OpenSSH",
    "id_ed25519_sk": "OpenSSH",
}
"""Names of files, and whose secrets each holds."""

FOLDERS: Final[Mapping[str, str]] = {
    ".aws": "AWS CLI and SDKs",
    ".azure": "Azure CLI",
    ".docker": "Docker",
    ".gcloud": "gcloud",
    ".gnupg": "GnuPG",
    ".hg": "Mercurial",
    ".jj": "Jujutsu",
    ".kube": "kubectl",
    ".m2": "Maven",
    ".password-store": "pass",
    ".secrets": "many",
    ".ssh": "OpenSSH",
    ".svn": "Subversion",
    ".terraform.d": "Terraform",
}
"""Names of folders, and whose secrets each holds."""

BELOW: Final[Mapping[str, tuple[str, ...]]] = {
    "auth.toml": ("pypoetry",),
    "auth.json": (".codex", ".composer", "composer", ".local", "opencode", "containers"),
    "config": (".bundle", ".kube", ".ssh"),
    "config.json": (".docker", "docker"),
    "history": ("conda-meta",),
    "hosts.yml": ("gh",),
    "settings.xml": ("conf", ".m2"),
    "urls": ("pkgs",),
    "urls.txt": ("pkgs",),
}
"""Names of files that are secret in a folder of one of these names, and common elsewhere."""

_ENV: Final = ".env"
_EXAMPLES: Final = ("example", "sample", "template", "dist", "defaults")
"""Endings after `.env` of files that are there to be copied and filled in."""

GIT: Final = ".git"
"""A folder that is secret if its configuration says how to log in somewhere."""
LOGIN: Final = re.compile(rb"://[^/@\s]+@|extraheader|insteadof|password|token", re.IGNORECASE)
"""A pattern of logins in such a configuration."""

KEYS: Final = (".pem", ".key")
"""Endings of keys, and of certificates, which are public: the content decides."""
_KEY_STORES: Final = (".p12", ".pfx", ".ppk", ".kdbx", ".keystore")
_HISTORY: Final = "_history"
"""The ending of files in which shells and others keep what was typed."""

TESTS: Final = frozenset(("test", "tests", "testing", "testdata", "fixtures", "certdata"))
"""Folders whose keys are published with a package for its own tests."""

_TABLES: Final = (
    FILES,
    FOLDERS,
    BELOW,
    GIT,
    LOGIN.pattern,
    _EXAMPLES,
    KEYS,
    _KEY_STORES,
    _HISTORY,
    sorted(TESTS),
)
FINGERPRINT: Final = sha256(repr(_TABLES).encode()).hexdigest()[:16]
"""A value that changes with the tables above."""


def secret_files(names: Collection[str], folder: str) -> set[str]:
    """Return the names that hold secrets, of those of files in a folder whose own name is `folder`."""
    return (
        (FILES.keys() & names)
        | {name for name in BELOW.keys() & names if folder in BELOW[name]}
        | {name for name in names if name[0] == "." and _is_environment_or_history(name)}
        | {name for name in names if name.endswith(_KEY_STORES)}
    )


def _is_environment_or_history(name: str) -> bool:
    if not name.startswith(_ENV):
        return name.endswith(_HISTORY)
    rest = name.removeprefix(_ENV)
    return not rest or (rest[0] == "." and rest.rpartition(".")[2] not in _EXAMPLES)
