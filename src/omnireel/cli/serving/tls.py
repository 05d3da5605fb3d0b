"""Certificates for `--tls dev`: a certificate authority (CA) of our own, and the server's certificate.

fal's Python client speaks https only. It can use this server once SSL_CERT_FILE lets it trust `ca.pem`. The files
are made once and reused, because every client would have to trust a new CA again.

    ca.pem, ca-key.pem           the CA, ten years
    server.pem, server-key.pem   the server, one year; renewed when it ends soon or when its names change
"""

import fcntl
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from omnireel.api.middleware.hosts import HOSTED
from omnireel.errors import OmnireelError
from omnireel.store.private import make_private

# The names of the hosted service are for setups that let these names resolve to this machine.
_NAMES = ("localhost", "127.0.0.1", "::1", *HOSTED)
_CA_LIFETIME = timedelta(days=3650)
_SERVER_LIFETIME = timedelta(days=365)
_RENEW_BEFORE = timedelta(days=30)
_CLOCK_SKEW = timedelta(days=1)
_Names = tuple[x509.GeneralName, ...]


@dataclass(frozen=True)
class Certificate:
    """A certificate and its private key."""

    cert: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def is_good(self, now: datetime) -> bool:
        """Whether the key belongs to the certificate, which is valid now and need not be renewed yet."""
        is_valid = self.cert.not_valid_before_utc <= now < self.cert.not_valid_after_utc - _RENEW_BEFORE
        return is_valid and self.cert.public_key() == self.key.public_key()


def dev_context(folder: Path, host: str) -> ssl.SSLContext:
    """The TLS context of a listener on `host`, with the certificates in `folder`.

    Raises OmnireelError if the folder cannot be used.
    """
    try:
        ensure_certificates(folder, host)
    except OSError as error:
        raise OmnireelError(
            f"The certificates in {folder} cannot be read or written: {error.strerror}.",
            hint="Choose a --data-dir that this user can write to, or --tls none.",
        ) from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server-key.pem")
    context.set_alpn_protocols(["http/1.1"])
    return context


def ensure_certificates(folder: Path, host: str, now: datetime | None = None) -> None:
    """Make the certificates in `folder` that are missing, end soon, or do not name `host`."""
    now = now or datetime.now(UTC)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    make_private(folder)
    with _locked(folder):
        for key in folder.glob("*-key.pem"):
            make_private(key)
        ca = _load(folder, "ca")
        if ca is None or not ca.is_good(now):
            ca = _make_ca(now)
            _save(folder, "ca", ca)
        names = _names(host)
        server = _load(folder, "server")
        if server is None or not (server.is_good(now) and _is_signed(server, ca, names)):
            _save(folder, "server", _make_server(ca, names, now))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Exclude other processes: two that start together must not write a key and a certificate that do not match."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _names(host: str) -> _Names:
    """Names and addresses of the server. A listener on all addresses also has the machine's name."""
    own = socket.gethostname() if host in ("0.0.0.0", "::") else host
    return tuple(_name(text) for text in dict.fromkeys((*_NAMES, own)))


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text.encode("idna").decode())


def _load(folder: Path, stem: str) -> Certificate | None:
    """A certificate and its key; None if a file is missing or damaged."""
    try:
        cert = x509.load_pem_x509_certificate((folder / f"{stem}.pem").read_bytes())
        key = serialization.load_pem_private_key((folder / f"{stem}-key.pem").read_bytes(), None)
    except (FileNotFoundError, ValueError):
        return None
    return Certificate(cert, key) if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _is_signed(server: Certificate, ca: Certificate, names: _Names) -> bool:
    try:
        server.cert.verify_directly_issued_by(ca.cert)
    except (ValueError, TypeError, InvalidSignature):
        return False
    found = server.cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return tuple(found) == names


def _make_ca(now: datetime) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    # Machine and date let a person tell several CAs of this kind apart.
    name = _subject(f"omnireel {socket.gethostname()[:32]} {now:%Y-%m-%d}")
    builder = (
        _builder(key, now, _CA_LIFETIME)
        .subject_name(name)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return Certificate(builder.sign(key, hashes.SHA256()), key)


def _make_server(ca: Certificate, names: _Names, now: datetime) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key())
    builder = (
        _builder(key, now, _SERVER_LIFETIME)
        .subject_name(_subject("omnireel"))
        .issuer_name(ca.cert.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(issuer_key, critical=False)
    )
    return Certificate(builder.sign(ca.key, hashes.SHA256()), key)


def _subject(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(key: ec.EllipticCurvePrivateKey, now: datetime, lifetime: timedelta) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .serial_number(x509.random_serial_number())
        .public_key(key.public_key())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _save(folder: Path, stem: str, certificate: Certificate) -> None:
    key = certificate.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(folder / f"{stem}-key.pem", key, 0o600)
    _write(folder / f"{stem}.pem", certificate.cert.public_bytes(serialization.Encoding.PEM), 0o644)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Replace `path` in one step. At no time are its permissions wider than `mode`."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    new.replace(path)
