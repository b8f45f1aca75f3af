"""PEM certificates in files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moat.config.certificates import MAX_BYTES, read_certificates, to_pem, without
from moat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# In pieces: those who look for keys in repositories shall find none here.
KEY = "-----BEGIN PRIVATE " + "KEY-----\nc2VjcmV0\n-----END PRIVATE " + "KEY-----\n"


def test_only_certificates_are_taken_from_a_file(
    tmp_path: Path, certificate: Callable[[str], str]
) -> None:
    """A key and comments between them never get into a specification."""
    first, second = certificate("first"), certificate("second")
    path = tmp_path / "ca.pem"
    path.write_text(
        f"# Größe: two\n{first}{KEY}\n{second.replace(chr(10), chr(13) + chr(10))}# end"
    )
    found = read_certificates(path)
    assert len(found) == 2
    assert found[0] == first.strip()
    assert "PRIVATE" not in to_pem(found)
    (tmp_path / "copy.pem").write_text(to_pem(found))
    assert len(read_certificates(tmp_path / "copy.pem")) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no PEM certificate"),
        ("hello", "holds no PEM certificate"),
        (KEY, "holds no PEM certificate"),
        ("-----BEGIN CERTIFICATE-----\n", "damaged"),
        ("-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n", "damaged"),
        ("-----BEGIN CERTIFICATE-----\n???\n-----END CERTIFICATE-----\n", "damaged"),
    ],
)
def test_what_holds_no_certificate_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """The error names the file and quotes nothing from it, which may be secret."""
    path = tmp_path / "ca.pem"
    path.write_text(text)
    with pytest.raises(UsageError, match=words) as raised:
        read_certificates(path)
    assert str(path) in raised.value.summary
    assert "c2VjcmV0" not in str(raised.value)


def test_one_damaged_certificate_among_good_ones_is_found(
    tmp_path: Path, certificate: Callable[[str], str]
) -> None:
    """Otherwise the certificate that matters could be missing, which would only show later."""
    path = tmp_path / "ca.pem"
    for damaged in (
        "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n",
        certificate("cut")[:300],
    ):
        path.write_text(certificate("good") + damaged)
        with pytest.raises(UsageError, match="damaged"):
            read_certificates(path)


def test_a_file_is_bounded(tmp_path: Path) -> None:
    """No real bundle is as large as that."""
    path = tmp_path / "ca.pem"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(UsageError, match="larger than"):
        read_certificates(path)


def test_what_is_known_is_left_out(certificate: Callable[[str], str]) -> None:
    """Different line breaks don't make it another certificate."""
    known, other = certificate("known").strip(), certificate("other").strip()
    assert without((known, other), (known.replace("\n", "\r\n"),)) == (other,)
