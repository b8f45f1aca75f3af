"""The one kind of request that the agent signs, and why every other is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ssh.messages import userauth

from moat.ssh.encoding import string
from moat.ssh.userauth import UserauthRequest, parse

SESSION = bytes(range(32))
KEY = b"the user's key"
SERVER_KEY = b"the server's key"
HOST_BOUND = "publickey-hostbound-v00@openssh.com"


def test_a_request_is_parsed() -> None:
    """Both methods give session, user, algorithm and key; one of them names the server's key."""
    expected = UserauthRequest(SESSION, "git", "ssh-ed25519", KEY, None)
    assert parse(userauth(SESSION, KEY)) == expected
    bound = userauth(SESSION, KEY, method=HOST_BOUND, host_key=SERVER_KEY)
    assert parse(bound) == expected._replace(host_key=SERVER_KEY)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (string(SESSION) + b"\x33", "not a request for authentication"),
        (b"SSHSIG" + string("git"), "ends too early"),
        (userauth(bytes(65), KEY), "longer than any"),
        (userauth(SESSION, KEY, user="u" * 256), "longer than any"),
        (userauth(SESSION, KEY, service="ssh-userauth"), "'ssh-userauth' by 'publickey'"),
        (userauth(SESSION, KEY, method="hostbased"), "by 'hostbased' is not signed"),
        (userauth(SESSION, KEY, host_key=SERVER_KEY), "follows the last field"),
        (userauth(SESSION, KEY, method=HOST_BOUND), "ends too early"),
        (
            string(SESSION) + b"\x32" + b"".join(map(string, ("git", "ssh-connection", "publickey")))
            + b"\x00",
            "no signature",
        ),
    ],
)  # fmt: skip
def test_anything_else_is_refused(data: bytes, reason: str) -> None:
    """A request that differs in any field from one for authentication with a key is not signed."""
    with pytest.raises(ValueError, match=reason):
        parse(data)


@given(st.integers(0, len(userauth(SESSION, KEY)) - 1))
def test_a_part_of_a_request_is_refused(size: int) -> None:
    """A request that was cut off anywhere is refused."""
    with pytest.raises(ValueError):
        parse(userauth(SESSION, KEY)[:size])
