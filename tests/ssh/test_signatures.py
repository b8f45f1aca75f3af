"""Keys and signatures of every kind, checked by another implementation: OpenSSH's ssh-keygen."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from hypothesis import given
from hypothesis import strategies as st

from moat.ssh import signatures
from moat.ssh.encoding import Reader, string

if TYPE_CHECKING:
    from pathlib import Path

KINDS = {
    "ssh-ed25519": ["-t", "ed25519"],
    "ecdsa-sha2-nistp256": ["-t", "ecdsa", "-b", "256"],
    "ecdsa-sha2-nistp384": ["-t", "ecdsa", "-b", "384"],
    "ecdsa-sha2-nistp521": ["-t", "ecdsa", "-b", "521"],
    "rsa-sha2-256": ["-t", "rsa", "-b", "2048"],
    "rsa-sha2-512": ["-t", "rsa", "-b", "2048"],
}


def keygen(folder: Path, *arguments: str) -> Path:
    path = folder / "key"
    command = ["ssh-keygen", "-q", "-N", "", "-C", "tests", "-f", str(path), *arguments]
    subprocess.run(command, check=True)
    return path


@pytest.mark.parametrize("algorithm", KINDS)
def test_openssh_accepts_the_signatures(tmp_path: Path, algorithm: str) -> None:
    """A signature by a key of OpenSSH's is the one that OpenSSH itself verifies."""
    path = keygen(tmp_path, *KINDS[algorithm])
    key = signatures.private_key(path.read_bytes())
    signed = b"SSHSIG" + b"".join(map(string, (b"tests", b"", b"sha512", _sha512(b"content"))))
    blob = signatures.public_blob(key)
    signature = signatures.sign(key, signed, algorithm)
    assert signatures.verifies(blob, signature, signed)
    assert not signatures.verifies(blob, signature, signed + b".")
    _write_sshsig(tmp_path / "signature", blob, signature)
    command = ["ssh-keygen", "-Y", "check-novalidate", "-n", "tests"]
    command += ["-s", str(tmp_path / "signature")]
    subprocess.run(command, input=b"content", check=True, capture_output=True)


def _sha512(data: bytes) -> bytes:
    return hashlib.sha512(data).digest()


def _write_sshsig(path: Path, blob: bytes, signature: bytes) -> None:
    """Write a signature in the form that `ssh-keygen -Y` reads (OpenSSH's PROTOCOL.sshsig)."""
    fields = b"".join(map(string, (blob, b"tests", b"", b"sha512", signature)))
    text = base64.encodebytes(b"SSHSIG\0\0\0\x01" + fields).decode()
    path.write_text(f"-----BEGIN SSH SIGNATURE-----\n{text}-----END SSH SIGNATURE-----\n")


@pytest.mark.parametrize("algorithm", KINDS)
def test_a_public_key_is_what_openssh_says_it_is(tmp_path: Path, algorithm: str) -> None:
    """Public key and fingerprint are those that `ssh-keygen` writes and prints."""
    path = keygen(tmp_path, *KINDS[algorithm])
    blob = signatures.public_blob(signatures.private_key(path.read_bytes()))
    kind, text, _ = path.with_suffix(".pub").read_text().split()
    assert base64.b64decode(text) == blob
    assert kind == signatures.key_type(blob)
    printed = subprocess.run(
        ["ssh-keygen", "-lf", path], check=True, capture_output=True, text=True
    )
    assert signatures.fingerprint(blob) in printed.stdout
    assert signatures.public_blob(signatures.public_key(blob)) == blob


def test_a_passphrase_is_needed_and_checked(tmp_path: Path) -> None:
    """A key that is encrypted opens with its passphrase alone, and the two failures differ."""
    pem = keygen(tmp_path, "-t", "ed25519", "-N", "right").read_bytes()
    assert signatures.private_key(pem, b"right")
    with pytest.raises(TypeError):
        signatures.private_key(pem)
    with pytest.raises(ValueError):
        signatures.private_key(pem, b"wrong")


def test_weak_keys_and_algorithms_are_refused(tmp_path: Path) -> None:
    """Neither RSA with SHA-1 nor a short RSA key gives a signature."""
    short = keygen(tmp_path, "-t", "rsa", "-b", "1024").read_bytes()
    with pytest.raises(ValueError, match="1024 bits"):
        signatures.private_key(short)
    blob = signatures.public_blob(rsa.generate_private_key(65537, 2048))
    with pytest.raises(ValueError, match="SHA-1"):
        signatures.algorithm(blob, 0)
    assert signatures.algorithm(blob, signatures.RSA_SHA2_256) == "rsa-sha2-256"
    assert signatures.algorithm(blob, 6) == "rsa-sha2-512"


@pytest.mark.parametrize("name", ["ssh-rsa", "ssh-ed25519"])
def test_a_signature_of_another_kind_is_an_error(name: str) -> None:
    """A key isn't asked about signatures by algorithms that aren't its own."""
    blob = signatures.public_blob(rsa.generate_private_key(65537, 2048))
    with pytest.raises(ValueError, match="not accepted"):
        signatures.verifies(blob, string(name) + string(b"x"), b"data")
    curve = signatures.public_blob(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(ValueError, match="another kind"):
        signatures.verifies(curve, string(name) + string(b"x"), b"data")


def test_a_signature_with_negative_numbers_is_an_error() -> None:
    """The two numbers of an ECDSA signature are positive, and one that isn't is never tried."""
    blob = signatures.public_blob(ec.generate_private_key(ec.SECP256R1()))
    numbers = string(b"\xff") + string(b"\x01")
    with pytest.raises(ValueError, match="negative"):
        signatures.verifies(blob, string("ecdsa-sha2-nistp256") + string(numbers), b"data")


def test_keys_of_other_kinds_are_refused() -> None:
    """A private key that signs with nothing that servers take is refused, in either form."""
    key = x25519.X25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with pytest.raises(ValueError, match="neither Ed25519"):
        signatures.private_key(key)
    with pytest.raises(ValueError, match="name of its type"):
        signatures.public_key(string("ssh rsa\n") + b"x")


def test_a_curve_without_a_name_in_ssh_is_refused() -> None:
    """A key that no server could know is refused when it is granted, and not when it is used."""
    with pytest.raises(ValueError):
        signatures.public_blob(ec.generate_private_key(ec.SECP256K1()))


@given(st.binary(), st.binary())
def test_nonsense_is_never_a_key_nor_a_signature(blob: bytes, signature: bytes) -> None:
    """Any bytes are refused with `ValueError`, and no other error comes out."""
    with pytest.raises(ValueError):
        signatures.public_key(blob)
    good = signatures.public_blob(ed25519.Ed25519PrivateKey.generate())
    with contextlib.suppress(ValueError):
        assert not signatures.verifies(good, signature, b"data")


@given(st.binary(max_size=80))
def test_a_damaged_key_is_an_error(tail: bytes) -> None:
    """A key whose type is known and whose content isn't is refused with `ValueError`."""
    for kind in (
        "ssh-ed25519",
        "ssh-rsa",
        "ecdsa-sha2-nistp256",
        "ssh-dss",
        "sk-ssh-ed25519@openssh.com",
    ):
        try:
            key = signatures.public_key(string(kind) + tail)
        except ValueError:
            continue
        assert Reader(signatures.public_blob(key)).text() == kind
