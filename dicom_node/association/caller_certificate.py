"""Which certificate a caller must show: an AE title alone can be copied, a key cannot."""

import ssl
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from socket import socket


class CertificatePart(StrEnum):
    """By what a certificate is recognised; the values are the prefixes in the settings."""

    COMMON_NAME = "cn"  #: common name of the subject
    DNS_NAME = "dns"  #: a DNS name among the subject alternative names
    FINGERPRINT = "sha256"  #: SHA-256 of the whole certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCertificate:
    """What tells the certificate of a caller from others.

    Attributes
    ----------
    common_names, dns_names : frozenset of str
        Of the subject; DNS names in lower case.
    fingerprint : str
        SHA-256 in lower case, 64 hexadecimal digits.
    """

    common_names: frozenset[str]
    dns_names: frozenset[str]
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRule:
    """Which certificate is a caller's own.

    Attributes
    ----------
    part : CertificatePart
        What is compared.
    value : str
        What it must be, as a whole and without wildcards; DNS names and fingerprints in lower
        case, the latter without colons.
    """

    part: CertificatePart
    value: str

    def fits(self, shown: ShownCertificate | None) -> bool:
        """Return whether a certificate is the one; None stands for a caller that showed none."""
        if shown is None:
            return False
        if self.part is CertificatePart.COMMON_NAME:
            return self.value in shown.common_names
        if self.part is CertificatePart.DNS_NAME:
            return self.value in shown.dns_names
        return self.value == shown.fingerprint


def shown_certificate(plug: socket | None) -> ShownCertificate | None:
    """Return what the other end of a connection has shown and TLS has checked; None for none."""
    encoded = plug.getpeercert(binary_form=True) if isinstance(plug, ssl.SSLSocket) else None
    return None if encoded is None else read_shown(encoded)


def read_shown(encoded: bytes) -> ShownCertificate:
    """Return what tells a certificate, in DER, from others."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    found = x509.load_der_x509_certificate(encoded)
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        dns_names: list[str] = []
    else:
        dns_names = names.get_values_for_type(x509.DNSName)
    common = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return ShownCertificate(
        common_names=frozenset(str(one.value) for one in common),
        dns_names=frozenset(name.lower() for name in dns_names),
        fingerprint=sha256(encoded).hexdigest(),
    )
