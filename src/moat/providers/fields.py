"""The table that checks a provider's file, and from which its JSON schema is made."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, get_args

from moat.config.fields import Field
from moat.providers.placeholders import check_shape
from moat.spec.grants import InjectionKind
from moat.spec.rules import Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TEMPLATE: Final = re.compile(r"\{[a-z][a-z0-9_]*\}")
_FIELD_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# Fields that a proxy makes itself (RFC 9110 7.6.1, RFC 9112 6), and `Host`.
_FRAMING: Final = frozenset(
    (
        *("host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade"),
        *("te", "trailer", "expect", "max-forwards", "content-encoding", "proxy-connection"),
    )
)
# The sandbox's own; a provider that set one would change what programs are found and trusted.
_FORBIDDEN_VARIABLES: Final = re.compile(
    r"(PATH|HOME|SHELL|USER|LOGNAME|MOAT_.*|LD_.*|PYTHON.*|NODE_OPTIONS|BASH_ENV|ENV|IFS|GIT_.*"
    r"|SSL_CERT_.*|.*_CA_BUNDLE|NODE_EXTRA_CA_CERTS|https?_proxy|all_proxy|no_proxy)",
    re.IGNORECASE,
)


def check_id(text: str) -> None:
    """Check the name of a provider. Raises `ValueError`."""
    if not _ID.fullmatch(text):
        raise ValueError(f"{text!r} is not a name of small letters, digits and -")


def _check_name(text: str) -> None:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not a name of small letters, digits and _")


def _check_named(name: str, _: str) -> None:
    _check_name(name)


def _check_shape(name: str, shape: str) -> None:
    _check_name(name)
    check_shape(shape)


def _check_variable(name: str, _: str = "") -> None:
    if not _VARIABLE.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a variable")


def check_sandbox_variable(name: str, _: str) -> None:
    _check_variable(name)
    if _FORBIDDEN_VARIABLES.fullmatch(name):
        raise ValueError(f"{name} decides what programs of the sandbox load and trust")


def _check_variables(name: str, variables: str) -> None:
    _check_name(name)
    if not variables.split():
        raise ValueError(f"{name} names no variable")
    for each in variables.split():
        _check_variable(each)


def _check_host(host: str) -> None:
    filled = _TEMPLATE.sub("a", host)
    rule = Rule.parse(f"allow {filled}")
    if rule.port is not None:
        raise ValueError(f"{host!r} has a port: write ports: [{rule.port}] beside hosts")
    if rule.host in {"*", "**"}:
        raise ValueError(f"{host!r} is every host: a credential must not go everywhere")
    if not re.search(r"[^*.]", host.rpartition("*")[2]):
        raise ValueError(f"{host!r} must end in the name of a domain")


def _check_path(path: str) -> None:
    Rule.parse(f"allow host{_TEMPLATE.sub('a', path)}")


def _check_port(port: str) -> None:
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{port!r} is not a port")


def _check_method(method: str) -> None:
    if not method.isalpha() or method != method.upper():
        raise ValueError(f"{method!r} is not a method such as GET")
    if method in {"TRACE", "OPTIONS", "CONNECT"}:
        raise ValueError(f"{method} requests never get a credential")


def _check_field(name: str) -> None:
    if not _FIELD_NAME.fullmatch(_TEMPLATE.sub("a", name)):
        raise ValueError(f"{name!r} is not the name of a header field or parameter")


def _check_injection(injection: dict[str, Any]) -> None:
    if not injection.get("hosts"):
        raise ValueError("hosts are missing: where is the credential to go?")
    kind, name = injection.get("kind", "header"), injection.get("name", "")
    if kind == "header" and name.lower().replace("_", "-") in _FRAMING:
        raise ValueError(f"{name} says where a request ends or goes, and can be no credential")
    if kind == "query" and not name:
        raise ValueError("name is missing: into which parameter is the credential to go?")


def _check_value(value: str) -> None:
    if not value.isprintable():
        raise ValueError(f"{value!r} has a character that no request can carry")


def check_sandbox_path(path: str) -> None:
    if not path or path.startswith("/") or ".." in path.split("/") or path.endswith("/"):
        raise ValueError(f"{path!r} is not a path below the sandbox's home folder")


def _check_url(url: str) -> None:
    """Credentials and codes go to these addresses: over TLS, or to this machine."""
    if not re.match(
        r"https://[^/@\s]+(/\S*)?$|http://(127\.0\.0\.1|localhost)(:\d+)?(/\S*)?$", url
    ):
        raise ValueError(f"{url!r} is not an https:// address")


def _check_program(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(f"{name!r} is not the name of a program")


def needs(*names: str) -> Any:
    """Return a check that each of the names is there."""

    def check(given: dict[str, Any]) -> None:
        for name in names:
            if not given.get(name):
                raise ValueError(f"{name} is missing")

    return check


_TYPED: Final[Mapping[str, Field]] = {
    "name": Field("string", "Name of the field.", _check_name),
    "label": Field("string", "The user's word for it."),
    "secret": Field("boolean", "Whether it is a secret; otherwise it is an attribute."),
    "optional": Field("boolean", "Whether a credential is complete without it."),
    "multiline": Field("boolean", "Whether it may have several lines."),
}
_LOGIN_FILE: Final[Mapping[str, Field]] = {
    "path": Field("string", "Path, with ~, $VARIABLE and ${VARIABLE:-DEFAULT}."),
    "format": Field(
        "enum", "Form of the file.", choices=("json", "yaml", "ini", "toml", "properties", "text")
    ),
    "fields": Field("map", "Where each secret is: keys with / between them.", each=_check_named),
    "attributes": Field("map", "Where each attribute is.", each=_check_named),
    "expires": Field("string", "Where the time is at which it expires."),
}
_LOGIN_COMMAND: Final[Mapping[str, Field]] = {
    "program": Field("string", "Name of a program in the system's folders.", _check_program),
    "arguments": Field("strings", "Its arguments."),
    "fields": Field(
        "map",
        "Where each secret is in JSON output; without it, all of the output is the token.",
        each=_check_named,
    ),
    "attributes": Field("map", "Where each attribute is.", each=_check_named),
    "expires": Field("string", "Where the time is at which it expires."),
    "variables": Field("strings", "Variables that it gets of the user's.", each=_check_variable),
}
_OAUTH: Final[Mapping[str, Field]] = {
    "client_id": Field("string", "Identifier of a public client (RFC 8252)."),
    "token_url": Field("string", "Token endpoint.", _check_url),
    "device_url": Field("string", "Endpoint of the device flow (RFC 8628).", _check_url),
    "authorize_url": Field("string", "Page on which the user agrees (with PKCE).", _check_url),
    "scopes": Field("strings", "Scopes that are asked for."),
    "client_secret": Field("string", "Secret of a public client, which is none."),
    "parameters": Field("map", "Further parameters of the authorization request."),
    "redirect_host": Field("enum", "Host of the redirect.", choices=("127.0.0.1", "localhost")),
    "redirect_port": Field("integer", "Port of the redirect; 0 for any."),
    "redirect_path": Field("string", "Path of the redirect."),
    "json_body": Field("boolean", "Whether the token endpoint wants JSON."),
}
_VALIDATION: Final[Mapping[str, Field]] = {
    "url": Field("string", "Address of a request that changes nothing.", _check_url),
    "method": Field("string", "Method of the request.", _check_method),
    "headers": Field("map", "Header fields; {token}, and {basic:USER:PASSWORD} for Basic."),
    "body": Field("string", "Body of the request."),
    "attributes": Field(
        "map", "Where attributes are in the JSON of the answer.", each=_check_named
    ),
    "scopes_header": Field("string", "Header field of the answer that lists scopes."),
    "scopes": Field("strings", "Scopes without which the credential is of little use."),
}
_INJECTION: Final[Mapping[str, Field]] = {
    "hosts": Field("strings", "Hosts, as in rules of the network.", each=_check_host),
    "ports": Field("strings", "Ports (default: 443).", each=_check_port),
    "methods": Field("strings", "Methods (default: all).", each=_check_method),
    "paths": Field(
        "strings", "Paths, as in rules of the network (default: all).", each=_check_path
    ),
    "kind": Field("enum", "Place in the request.", choices=get_args(InjectionKind)),
    "name": Field("string", "Name of the header field or parameter.", _check_field),
    "value": Field(
        "string", "What is set (default: Bearer {token}); Basic: USER:PASSWORD.", _check_value
    ),
    "replace": Field(
        "boolean", "Replace the placeholder where the client put it, and set nothing otherwise."
    ),
}
_FILE: Final[Mapping[str, Field]] = {
    "path": Field("string", "Path below the sandbox's home folder.", check_sandbox_path),
    "content": Field("string", "Content."),
}

FIELDS: Final[Mapping[str, Field]] = {
    "id": Field("string", "Name of the provider, the same as the file's.", check_id),
    "title": Field("string", "Name for people."),
    "aliases": Field("strings", "Other names by which it is found.", each=check_id),
    "notes": Field("string", "What a user should know."),
    "scope": Field("string", "Attribute that PROVIDER:SCOPE gives, such as host.", _check_name),
    "obtain": Field(
        "object",
        "Ways to a credential.",
        fields={
            "typed": Field(
                "objects",
                "Fields that the user may type (default: token).",
                fields=_TYPED,
                each=needs("name"),
            ),
            "variables": Field(
                "objects",
                "Variables of the provider's own tools, as sets that are complete.",
                fields={
                    "fields": Field(
                        "map",
                        "For each field the names of variables; the first that is set counts.",
                        each=_check_variables,
                    )
                },
                each=needs("fields"),
            ),
            "attribute_variables": Field(
                "map", "For each attribute the names of variables.", each=_check_variables
            ),
            "commands": Field(
                "objects",
                "Commands that print a login.",
                fields=_LOGIN_COMMAND,
                each=needs("program"),
            ),
            "files": Field(
                "objects",
                "Files with a login.",
                fields=_LOGIN_FILE,
                each=needs("path", "fields"),
            ),
            "oauth": Field("object", "OAuth.", needs("client_id", "token_url"), fields=_OAUTH),
            "validation": Field("object", "Test.", needs("url"), fields=_VALIDATION),
            "attributes": Field(
                "map",
                "Attributes that each credential has, if it has no others.",
                each=_check_named,
            ),
            "help": Field("string", "Where a user makes a credential by hand."),
        },
    ),
    "hosts": Field(
        "strings", "Hosts that a grant opens and that get no credential.", each=_check_host
    ),
    "inject": Field("objects", "Ways into requests.", fields=_INJECTION, each=_check_injection),
    "placeholders": Field(
        "map", "Shape of what the sandbox sees for each secret field.", each=_check_shape
    ),
    "claims": Field("string", "Claims, in JSON, of placeholders that are JSON Web Tokens."),
    "env": Field("map", "Variables of the sandbox.", each=check_sandbox_variable),
    "files": Field("objects", "Files of the sandbox.", fields=_FILE, each=needs("path")),
}
