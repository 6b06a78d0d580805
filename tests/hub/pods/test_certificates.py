"""Certificates of gateways: taken for the very address by who knows the authority, and by nobody else."""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from visa.hub.pods.certificates import Authority, BadAuthority, Issued, make_authority


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "ours"
    made.mkdir()
    return made


@pytest.fixture
def authority(folder: Path) -> Authority:
    return Authority(*make_authority(folder))


def shake_hands(issued: Issued, asking: ssl.SSLContext, address: str, folder: Path) -> None:
    """A whole TLS handshake in memory; raise ``ssl.SSLError`` when ``asking`` does not take the certificate."""
    (folder / "served.pem").write_text(issued.certificate + issued.key)
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(folder / "served.pem")
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = serving.wrap_bio(inward, outward, server_side=True)
    client = asking.wrap_bio(outward, inward, server_hostname=address)
    done = set()
    for _ in range(10):
        for side in (client, server):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                continue
        if len(done) == 2:
            return
    raise AssertionError("the handshake does not end")


def strict(certificate: Path) -> ssl.SSLContext:
    """As Python 3.13 asks by default."""
    asking = ssl.create_default_context(cafile=str(certificate))
    asking.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    return asking


@pytest.mark.parametrize("address", ["10.1.2.3", "fd00::12:3"])
def test_the_gateway_at_the_address_is_taken_and_no_other(authority: Authority, folder: Path, address: str) -> None:
    issued = authority.issue(address)
    shake_hands(issued, authority.context, address, folder)
    shake_hands(issued, strict(folder / "ca.crt"), address, folder)
    for other in ("10.1.2.4", "fd00::12:4", "localhost"):
        with pytest.raises(ssl.SSLCertVerificationError):
            shake_hands(issued, authority.context, other, folder)


def test_certificates_of_another_authority_are_not_taken(authority: Authority, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    theirs = Authority(*make_authority(tmp_path / "theirs"))
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(theirs.issue("10.1.2.3"), authority.context, "10.1.2.3", folder)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(authority.issue("10.1.2.3"), ssl.create_default_context(), "10.1.2.3", folder)


def test_a_gateways_certificate_makes_no_others(authority: Authority, folder: Path) -> None:
    """Who has one gateway's key must not be able to sign for another."""
    issued = authority.issue("10.1.2.3")
    (folder / "leaf.crt").write_text(issued.certificate)
    (folder / "leaf.key").write_text(issued.key)
    forged = Authority(folder / "leaf.crt", folder / "leaf.key").issue("10.1.2.9")
    chain = Issued(forged.certificate + issued.certificate, forged.key)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(chain, authority.context, "10.1.2.9", folder)


@pytest.mark.parametrize("text", ["", "gateway", "10.1.2", "10.1.2.3:80", "fd00::/8", "10.1.2.3\n"])
def test_certificates_are_for_addresses_only(authority: Authority, text: str) -> None:
    with pytest.raises(ValueError, match="IPv4 or IPv6"):
        authority.issue(text)


def test_every_gateway_has_a_key_of_its_own(authority: Authority) -> None:
    first, second = authority.issue("10.1.2.3"), authority.issue("10.1.2.3")
    assert first.key != second.key
    assert first.certificate != second.certificate


def test_what_is_there_is_kept_and_only_the_hub_reads_the_key(folder: Path) -> None:
    certificate, key = make_authority(folder)
    before = certificate.read_bytes(), key.read_bytes()
    assert make_authority(folder) == (certificate, key)
    assert (certificate.read_bytes(), key.read_bytes()) == before
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert {path.name for path in folder.iterdir()} == {"ca.crt", "ca.key"}, "nothing else is left"


def test_half_an_authority_is_made_anew(folder: Path) -> None:
    certificate, key = make_authority(folder)
    key.unlink()
    made = make_authority(folder)
    Authority(*made)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert made == (certificate, key)


# files that cannot be used


@pytest.mark.parametrize("which", ["ca.crt", "ca.key"])
@pytest.mark.parametrize("content", [None, b"", b"\x00\xff", b"-----BEGIN CERTIFICATE-----\nQUJD\n"])
def test_a_bad_file_is_named(folder: Path, which: str, content: bytes | None) -> None:
    certificate, key = make_authority(folder)
    file = folder / which
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadAuthority, match=which):
        Authority(certificate, key)


def test_a_key_of_another_authority_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    certificate, _ = make_authority(folder)
    _, key = make_authority(tmp_path / "theirs")
    with pytest.raises(BadAuthority, match=f"{key} is not the key of {certificate}"):
        Authority(certificate, key)


def test_keys_that_need_a_password_or_are_of_another_kind_are_named(folder: Path) -> None:
    certificate, key = make_authority(folder)
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    secret = serialization.BestAvailableEncryption(b"secret")
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key.write_bytes(private.private_bytes(pem, form, secret))
    with pytest.raises(BadAuthority, match=r"ca\.key"):
        Authority(certificate, key)
    other = ed25519.Ed25519PrivateKey.generate()
    key.write_bytes(other.private_bytes(pem, form, serialization.NoEncryption()))
    with pytest.raises(BadAuthority, match=r"ca\.key is no elliptic curve or RSA key"):
        Authority(certificate, key)
