"""Names of credentials, and what is shown of one."""

from __future__ import annotations

import pytest

from moat.credentials.credential import Credential, CredentialKey
from moat.errors import UsageError
from moat.spec import Grant


@pytest.mark.parametrize(
    ("text", "profile", "name", "arguments"),
    [
        ("github", "default", "github", "github"),
        ("ssh:git.example:2222", "default", "ssh:git.example:2222", "ssh:git.example:2222"),
        ("aws", "work", "aws@work", "aws --profile work"),
        ("npm:a.example/x", "w", "npm:a.example/x@w", "npm:a.example/x --profile w"),
    ],
)
def test_a_name_is_read_and_shown(text: str, profile: str, name: str, arguments: str) -> None:
    """A credential is named as its grant is, and the command to grant it can be typed."""
    key = CredentialKey.parse(text, profile)
    assert (key.name, key.arguments) == (name, arguments)
    assert Grant(provider=key.provider, scope=key.scope, profile=key.profile).name == name


@pytest.mark.parametrize(
    ("text", "profile"),
    [
        ("", "default"),
        ("GitHub", "default"),
        ("../x", "default"),
        ("git hub", "default"),
        ("x" * 65, "default"),
        ("github:a b", "default"),
        ("github:\x1b[31m", "default"),
        ("github:" + "x" * 256, "default"),
        ("github", ""),
        ("github", "a/b"),
        ("github", "-x"),
    ],
)
def test_other_names_are_refused(text: str, profile: str) -> None:
    """A name is short, and acts neither on a path, a terminal nor a command line."""
    with pytest.raises(UsageError, match="can't be the name of a"):
        CredentialKey.parse(text, profile)


def test_a_credential_hides_its_fields() -> None:
    """What is shown of a credential has the names of its fields."""
    credential = Credential(key=CredentialKey(provider="x"), fields={"token": "s3cret"})
    assert "s3cret" not in repr(credential)
    assert credential.entry.field_names == ("token",)
    assert "s3cret" not in repr(credential.entry)
