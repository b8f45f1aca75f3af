"""The parent proxy: its URL, its exceptions, its answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.egress.upstream.parent_proxy import ParentProxy, RefusedError, answer_size, literal


def leads(exceptions: str, host: str, port: int = 443) -> bool:
    proxy = ParentProxy.parse("http://proxy:3128", exceptions)
    return proxy.leads_to(host, port, literal(host))


class TestURL:
    def test_a_proxy_is_a_host_and_a_port(self) -> None:
        """Without a user in the URL nothing is sent that would name one."""
        proxy = ParentProxy.parse("http://proxy.example:3128", "")
        assert (proxy.secure, proxy.host, proxy.port) == (False, "proxy.example", 3128)
        assert proxy.request("api.example.com", 80) == (
            b"CONNECT api.example.com:80 HTTP/1.1\r\nHost: api.example.com:80\r\n\r\n"
        )

    def test_a_user_and_password_are_sent_as_basic_authentication(self) -> None:
        """What the URL encodes is decoded first: passwords hold colons, slashes and letters like ß."""
        proxy = ParentProxy.parse("http://me:p%3A%2F%C3%9F@proxy:3128", "")
        # base64 of me:p:/ß
        assert b"Proxy-Authorization: Basic bWU6cDovw58=\r\n" in proxy.request("x", 1)

    def test_a_user_alone_has_an_empty_password(self) -> None:
        """As curl sends it; tokens are given so."""
        proxy = ParentProxy.parse("http://token@proxy:3128", "")
        assert b"Proxy-Authorization: Basic dG9rZW46\r\n" in proxy.request("x", 1)

    def test_ipv6_literals_have_brackets(self) -> None:
        """IPv6 addresses have brackets in the request and in the proxy's name."""
        proxy = ParentProxy.parse("http://[fd00::1]:3128", "")
        assert proxy.host == "fd00::1"
        assert proxy.name == "http://[fd00::1]:3128"
        assert proxy.request("2001:db8::1", 443).startswith(
            b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\n"
        )

    def test_the_name_that_is_shown_has_no_password(self) -> None:
        """The name is shown in messages and in the record."""
        assert ParentProxy.parse("https://me:secret@proxy", "").name == "https://proxy:443"

    @pytest.mark.parametrize(
        "url", ["socks5://proxy:1080", "proxy:3128", "http://", "http://me:sec/ret@proxy:3128"]
    )
    def test_what_is_no_proxy_is_refused(self, url: str) -> None:
        """The message has no part of the password."""
        with pytest.raises(ValueError) as refused:
            ParentProxy.parse(url, "")
        assert "sec" not in str(refused.value)


class TestExceptions:
    @pytest.mark.parametrize(
        ("exceptions", "host"),
        [
            ("example.com", "example.com"),
            ("example.com", "api.example.com"),
            (".example.com", "api.example.com"),
            (".example.com", "example.com"),
            ("*.example.com", "api.example.com"),
            ("EXAMPLE.com.", "example.com"),
            ("one.test, two.test", "two.test"),
            ("one.test two.test", "two.test"),
            ("*", "anything.test"),
            ("one.test,*", "8.8.8.8"),
            ("10.0.0.0/8", "10.1.2.3"),
            ("10.1.2.3", "10.1.2.3"),
            ("fd00::/8", "fd00::1"),
            ("[fd00::1]", "fd00::1"),
            ("example.com:443", "example.com"),
            ("10.1.2.3:443", "10.1.2.3"),
            ("[fd00::1]:443", "fd00::1"),
            ("", "localhost"),
            ("", "127.0.0.1"),
            ("", "::1"),
        ],
    )
    def test_exceptions_are_reached_directly(self, exceptions: str, host: str) -> None:
        """Names with subdomains, addresses, networks, with ports or without, and this machine."""
        assert not leads(exceptions, host)

    @pytest.mark.parametrize(
        ("exceptions", "host"),
        [
            ("", "example.com"),
            ("example.com", "notexample.com"),
            ("example.com", "example.com.evil.test"),
            ("example.com:80", "example.com"),
            ("10.0.0.0/8", "11.0.0.1"),
            ("10.0.0.0/8", "ten.example.com"),
            ("10.0.0.1:80", "10.0.0.1"),
            ("., :443 *. /", "example.com"),
        ],
    )
    def test_all_else_goes_through_the_proxy(self, exceptions: str, host: str) -> None:
        """A suffix begins at a dot, a port must be equal, and an empty entry names nothing."""
        assert leads(exceptions, host)

    def test_a_network_holds_the_name_that_the_user_gave_an_address(self) -> None:
        """A name of `network.hosts` has an address before any lookup."""
        proxy = ParentProxy.parse("http://proxy:3128", "10.0.0.0/8")
        assert not proxy.leads_to("db.test", 443, literal("10.0.0.5"))

    @given(st.text(), st.sampled_from(["example.com", "10.0.0.1", "::1"]))
    def test_no_list_is_too_strange(self, exceptions: str, host: str) -> None:
        """The list comes from the environment: any text gives an answer."""
        leads(exceptions, host)


GRANTED = b"HTTP/1.0 200 Connection established\r\nProxy-agent: tinyproxy/1.11.1\r\n\r\n"


class TestAnswer:
    def test_it_ends_where_the_tunnel_begins(self) -> None:
        """The answer ends exactly where the server's first bytes begin."""
        assert answer_size(GRANTED + b"SSH-2.0-server\r\n\r\n") == len(GRANTED)

    def test_it_may_come_byte_by_byte(self) -> None:
        """Nothing is decided before the empty line."""
        assert {answer_size(GRANTED[:end]) for end in range(len(GRANTED))} == {None}

    def test_any_success_opens_the_tunnel_whatever_length_it_names(self) -> None:
        """RFC 9110 9.3.6: a client ignores a length in a successful answer to CONNECT."""
        answer = b"HTTP/1.1 201 Fine\r\nContent-Length: 5\r\n\r\n"
        assert answer_size(answer + b"hello") == len(answer)

    @pytest.mark.parametrize("status", ["100 Continue", "101 Switching Protocols", "302 Found"])
    def test_nothing_else_does(self, status: str) -> None:
        """Such an answer opens no tunnel."""
        with pytest.raises(RefusedError, match=f"answered {status}"):
            answer_size(f"HTTP/1.1 {status}\r\n\r\n".encode())

    def test_a_refusal_is_told_in_one_clean_line(self) -> None:
        """The line is printed on a terminal, and a proxy may send anything."""
        with pytest.raises(RefusedError) as refused:
            answer_size(b"HTTP/1.1 403 No\xff\x80way\tever" + b"!" * 500 + b"\r\n\r\n")
        assert str(refused.value).isprintable()
        assert str(refused.value).startswith("answered 403 No??way?ever!!!")
        assert len(str(refused.value)) < 200

    def test_a_missing_password_says_where_to_put_it(self) -> None:
        """407 is never shown to the sandbox, which has no such password: the user must act."""
        with pytest.raises(RefusedError, match=r"407 Who.*http://USER:PASSWORD@.* in HTTPS_PROXY"):
            answer_size(b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\n\r\n")

    @pytest.mark.parametrize(
        "answer",
        [
            b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
            b"HTTP/1.1 200 OK\n\n",
            b"HTTP/2 200\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
        ],
    )
    def test_what_is_not_http_opens_nothing(self, answer: bytes) -> None:
        """An endless head, or another protocol on the port, is refused, too."""
        with pytest.raises(RefusedError, match="not HTTP"):
            answer_size(answer)

    @given(st.binary())
    def test_anything_is_an_answer_incomplete_or_refused(self, data: bytes) -> None:
        """No bytes raise anything else."""
        try:
            size = answer_size(data)
        except RefusedError:
            return
        assert size is None or size <= len(data)
