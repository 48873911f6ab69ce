"""Certificates and keys in files: who they are for, how long they hold, whether they are safe."""

import stat
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from dicom_node.errors import TlsFileError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import (
        CertificatePublicKeyTypes,
        PublicKeyTypes,
    )

#: RSA keys that are shorter are refused by the TLS library, too (RFC 9325, section 4.5).
_SHORTEST_RSA_KEY = 2048

_SHARED_MODE = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What an operator has to know of a certificate.

    Attributes
    ----------
    path : Path
        File that it was read from.
    name : str
        Common name of the subject, the whole subject where there is none.
    not_before, not_after : datetime
        From when and until when it holds, aware.
    names : tuple of str
        Host names and IP addresses that it was issued for (subject alternative names).
    public_key : bytes
        Its public key, encoded.
    """

    path: Path
    name: str
    not_before: datetime
    not_after: datetime
    names: tuple[str, ...]
    public_key: bytes

    def days_left(self, now: datetime) -> int:
        """Return the whole days until it ends, negative once it has ended."""
        return (self.not_after - now) // timedelta(days=1)

    def fault(self, now: datetime, *, warn_days: int) -> str:
        """Return what is wrong with its dates, empty if nothing is."""
        days = self.days_left(now)
        if now < self.not_before:
            return f"{self._label} holds only from {self.not_before:%Y-%m-%d %H:%M} UTC on"
        if now > self.not_after:
            return f"{self._label} ended on {self.not_after:%Y-%m-%d %H:%M} UTC; renew it"
        if days < warn_days:
            return f"{self._label} ends in {days} days, on {self.not_after:%Y-%m-%d}; renew it"
        return ""

    @property
    def _label(self) -> str:
        return f"the certificate {self.name!r} in {self.path}"


def read_certificates(path: Path) -> tuple[Certificate, ...]:
    """Return every certificate of a PEM file, in its order.

    Raises
    ------
    TlsFileError
        If the file cannot be read or holds no certificate.
    """
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise TlsFileError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise TlsFileError(f"{path}: found no PEM certificate; expected one or more") from error
    return tuple(_certificate(path, one) for one in found)


def check_key_file(key: Path, certificate: Certificate) -> None:
    """Refuse a key that others may read, that asks for a password, or that is another's.

    Raises
    ------
    TlsFileError
        Naming the file, what was found and what is expected.
    """
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        mode = stat.S_IMODE(key.stat().st_mode)
        encoded = key.read_bytes()
    except OSError as error:
        raise TlsFileError(f"{key}: {error.strerror or error}") from error
    if mode & _SHARED_MODE:
        raise TlsFileError(
            f"{key}: found mode {mode:04o}, which lets others use the key; "
            f"expected 0600 (chmod 600 {key})"
        )
    try:
        private = load_pem_private_key(encoded, password=None)
    except TypeError as error:
        raise TlsFileError(
            f"{key}: found a key with a password; expected one without, for the node starts alone"
        ) from error
    except ValueError as error:
        raise TlsFileError(f"{key}: found no PEM private key; expected one") from error
    if isinstance(private, rsa.RSAPrivateKey) and private.key_size < _SHORTEST_RSA_KEY:
        raise TlsFileError(
            f"{key}: found an RSA key of {private.key_size} bits; "
            f"expected {_SHORTEST_RSA_KEY} or more"
        )
    if _encoded(private.public_key()) != certificate.public_key:
        raise TlsFileError(
            f"{key}: found another key than that of {certificate.path}; "
            "expected the one that the certificate was made for"
        )


def _encoded(key: "CertificatePublicKeyTypes | PublicKeyTypes") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _certificate(path: Path, found: "x509.Certificate") -> Certificate:
    from cryptography.x509.oid import NameOID

    common = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return Certificate(
        path=path,
        name=str(common[0].value) if common else found.subject.rfc4514_string(),
        not_before=found.not_valid_before_utc,
        not_after=found.not_valid_after_utc,
        names=_alternative_names(found),
        public_key=_encoded(found.public_key()),
    )


def _alternative_names(found: "x509.Certificate") -> tuple[str, ...]:
    from cryptography import x509

    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    hosts = names.get_values_for_type(x509.DNSName)
    addresses = names.get_values_for_type(x509.IPAddress)
    return (*hosts, *(str(address) for address in addresses))
