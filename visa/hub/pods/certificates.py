"""Certificates of gateways: who answers the proxy in a pod's name is the gateway that reported to the hub.

A process of the environment shares the gateway's network and could listen in its place once it is gone.
It cannot have the certificate, and the proxy takes nothing else.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from visa import clock

_YEARS = timedelta(days=3650)
_SKEW = timedelta(hours=1)
_SIGNS = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


class BadAuthority(Exception):
    """The authority's certificate or key cannot be used. The message says which file and why."""


@dataclass(frozen=True, slots=True)
class Issued:
    """Both PEM."""

    certificate: str
    key: str


class Authority:
    """Signs gateways' certificates. ``certificate`` and ``key``: PEM files."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raise `BadAuthority`."""
        try:
            self._certificate = x509.load_pem_x509_certificate(certificate.read_bytes())
            loaded = serialization.load_pem_private_key(key.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise BadAuthority(f"{certificate} or {key} cannot be read: {error}") from error
        if not isinstance(loaded, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise BadAuthority(f"{key} is no elliptic curve or RSA key")
        if loaded.public_key() != self._certificate.public_key():
            raise BadAuthority(f"{key} is not the key of {certificate}")
        self._key = loaded
        self.context = ssl.create_default_context(cafile=str(certificate))
        """For asking gateways: takes certificates of this authority only."""

    def issue(self, address: str) -> Issued:
        """A certificate for the pod at ``address`` (IPv4 or IPv6); raise ``ValueError`` when that is none."""
        ip = ipaddress.ip_address(address)
        key = ec.generate_private_key(ec.SECP256R1())
        now = clock.now()
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")]))
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _SKEW)
            .not_valid_after(now + _YEARS)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            # Python 3.13 wants to see whose key signed.
            .add_extension(_identifier(self._certificate), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        )
        made = builder.sign(self._key, hashes.SHA256())
        return Issued(made.public_bytes(serialization.Encoding.PEM).decode(), _pem(key))


def _identifier(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """As the authority calls itself: how that is computed is up to whoever made it (helm does not use SHA-1)."""
    try:
        own = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        key = authority.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
            raise BadAuthority("the authority's key is no elliptic curve or RSA key") from None
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own.value)


def make_authority(folder: Path) -> tuple[Path, Path]:
    """``ca.crt`` and ``ca.key`` in ``folder``, made when they are not there (the Helm chart brings its own)."""
    certificate, key = folder / "ca.crt", folder / "ca.key"
    if certificate.exists() and key.exists():
        return certificate, key
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "VISA gateways")])
    now = clock.now()
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _YEARS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
        .add_extension(_SIGNS, critical=True)
        .sign(private, hashes.SHA256())
    )
    _write(key, _pem(private))
    _write(certificate, made.public_bytes(serialization.Encoding.PEM).decode())
    return certificate, key


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def _write(path: Path, text: str) -> None:
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    os.replace(temporary, path)
