"""Recipes: how a credential is obtained from a provider. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, Self

Source = Literal["env", "cli", "browser", "device", "prompt", "stdin"]
SOURCES: Final[tuple[Source, ...]] = ("env", "cli", "browser", "device", "prompt", "stdin")
"""All sources, in the order in which they are tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """A field or attribute that the user may type."""

    name: str
    label: str = ""
    """The user's word for the field; the name if it is empty."""
    secret: bool = True
    optional: bool = False
    multiline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginFile:
    """The file in which the provider's own program keeps its login."""

    path: str
    """The file's path, with `~` and `$VARIABLE`; a variable that isn't set makes it no path."""
    format: Literal["json", "yaml", "ini", "toml", "properties", "text"] = "json"
    fields: Mapping[str, str] = field(default_factory=dict[str, str])
    """The place of each secret field: keys with `/` between them."""
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    expires: str = ""
    """The place of the expiry: seconds or milliseconds since the epoch, or RFC 3339."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginCommand:
    """A command of the provider's own program that prints its login."""

    program: str
    arguments: tuple[str, ...]
    fields: Mapping[str, str] = field(default_factory=dict[str, str])
    """The place of each secret field in JSON output; empty if all of the output is the field `token`."""
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    expires: str = ""
    """The place of the expiry in JSON output; see `LoginFile.expires`."""
    variables: tuple[str, ...] = ()
    """Variables that it gets besides HOME, XDG_CONFIG_HOME and the session's bus."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuth:
    """A public client of the provider's (RFC 8252)."""

    client_id: str
    token_url: str
    device_url: str = ""
    authorize_url: str = ""
    scopes: tuple[str, ...] = ()
    client_secret: str = ""
    """Some providers want one from programs on users' machines, where it is no secret."""
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    """Further parameters of the authorization request."""
    redirect_host: Literal["127.0.0.1", "localhost"] = "127.0.0.1"
    redirect_port: int = 0
    """The port that the client is registered with; 0 for any."""
    redirect_path: str = "/callback"
    json_body: bool = False
    """The token endpoint wants JSON instead of a form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """A request that succeeds with a good credential, and changes nothing."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """`{token}` stands for that field; `{basic:USER:PASSWORD}` for their Basic form."""
    body: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    """The places of attributes in the JSON of the answer."""
    scopes_header: str = ""
    """The header field that lists the credential's scopes."""
    scopes: tuple[str, ...] = ()
    """Scopes without which the credential is of little use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All of it, for one provider."""

    provider: str
    title: str
    typed: tuple[Typed, ...] = (Typed(name="token"),)
    variables: tuple[Mapping[str, tuple[str, ...]], ...] = ()
    """Sets of fields. For each field the first of its variables that is set counts."""
    attribute_variables: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict[str, tuple[str, ...]]
    )
    commands: tuple[LoginCommand, ...] = ()
    files: tuple[LoginFile, ...] = ()
    oauth: OAuth | None = None
    validation: Validation | None = None
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    """Attributes that a credential has unless its source says otherwise, such as `token_url`."""
    fixed: Mapping[str, str] = field(default_factory=dict[str, str])
    """Attributes that a credential has whatever its source says: those that the user's words name."""
    help: str = ""
    """The page on which the user makes a credential by hand."""

    def about(self, attribute: str, value: str) -> Self:
        """Return the recipe for a value of an attribute: `{attribute}` stands for it in logins."""
        name = f"{{{attribute}}}"

        def keys(pointers: Mapping[str, str]) -> dict[str, str]:
            escaped = value.replace("/", "~1")
            return {each: pointer.replace(name, escaped) for each, pointer in pointers.items()}

        commands = tuple(
            replace(each, arguments=tuple(word.replace(name, value) for word in each.arguments))
            for each in self.commands
        )
        files = tuple(
            replace(each, fields=keys(each.fields), attributes=keys(each.attributes))
            for each in self.files
        )
        return replace(self, commands=commands, files=files)

    def with_logins_for(self, attribute: str) -> Self:
        """Return the recipe without logins that aren't looked up by the attribute.

        They are for its usual value: the login for one host must not be sent to another.
        """
        name = f"{{{attribute}}}"
        return replace(
            self,
            commands=tuple(
                each for each in self.commands if any(name in word for word in each.arguments)
            ),
            files=tuple(
                each for each in self.files if any(name in key for key in each.fields.values())
            ),
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        """The ways that the provider has, in the order in which they are tried."""
        has: Mapping[Source, bool] = {
            "env": bool(self.variables),
            "cli": bool(self.commands or self.files),
            "browser": bool(self.oauth and self.oauth.authorize_url),
            "device": bool(self.oauth and self.oauth.device_url),
            "prompt": bool(self.typed),
            "stdin": bool(self.typed),
        }
        return tuple(source for source in SOURCES if has[source])
