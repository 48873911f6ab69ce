"""TLS for associations, after the BCP 195 profiles of DICOM (PS3.15, sections B.12 and B.13).

TLS 1.2 and 1.3 and nothing older (RFC 8996); of TLS 1.2 only suites with forward secrecy and
authenticated encryption (RFC 9325, section 4.2); no compression, no renegotiation, no session
tickets.
"""

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dicom_node.association.certificates import (
    Certificate,
    check_key_file,
    read_certificates,
)
from dicom_node.association.tls_profiles import TlsProfile, check_offer, cipher_string
from dicom_node.errors import TlsFileError

LOGGER = logging.getLogger(__name__)

#: Registered for DICOM over TLS ("dicom-tls").
DICOM_TLS_PORT = 2762

_OPTIONS = (
    ssl.OP_NO_COMPRESSION
    | ssl.OP_NO_RENEGOTIATION
    | ssl.OP_NO_TICKET
    | ssl.OP_CIPHER_SERVER_PREFERENCE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """The files that TLS needs.

    Attributes
    ----------
    certificate, key : Path
        PEM: the node's certificate, followed by those of intermediate authorities, and its key.
    trusted : Path or None
        PEM: the authorities whose certificates are believed; None where nobody shows one.
    revoked : Path or None
        PEM: revocation lists; with a list, each authority in `trusted` that issues certificates
        of partners must have one.
    """

    certificate: Path
    key: Path
    trusted: Path | None = None
    revoked: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """How the node's listener speaks TLS.

    Attributes
    ----------
    files : TlsFiles
        Certificate, key, authorities.
    requires_certificate : bool
        Whether callers must show a certificate of a trusted authority.
    only_1_3 : bool
        Whether TLS 1.2 is refused.
    profile : TlsProfile
        Which suites are spoken.
    """

    files: TlsFiles
    requires_certificate: bool = True
    only_1_3: bool = False
    profile: TlsProfile = TlsProfile.BCP_195


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """How the node speaks TLS to a peer.

    Attributes
    ----------
    files : TlsFiles
        Certificate and key that the node shows, authorities that it believes.
    server_name : str
        Name or address that the peer's certificate must be issued for; empty stands for the
        host that is called.
    checks_name : bool
        Whether that is looked at. Without, any certificate of a trusted authority will do.
    only_1_3 : bool
        Whether TLS 1.2 is refused.
    profile : TlsProfile
        Which suites are offered.
    """

    files: TlsFiles
    server_name: str = ""
    checks_name: bool = True
    only_1_3: bool = False
    profile: TlsProfile = TlsProfile.BCP_195


def server_context(tls: ServerTls) -> ssl.SSLContext:
    """Return the context of a listener.

    Raises
    ------
    TlsFileError
        If a file cannot be used; naming it, what was found and what is expected.
    TlsProfileError
        If the process was not started for the profile.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, tls)
    check_offer(context, tls.profile)
    context.num_tickets = 0
    if tls.requires_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(tls: ClientTls) -> ssl.SSLContext:
    """Return the context of a connection to a peer; see `server_context`.

    A client need not offer all suites of its profile (PS3.15, B.13).
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, tls)
    context.check_hostname = tls.checks_name
    return context


def own_certificate(files: TlsFiles) -> Certificate:
    """Return the node's certificate after its key has been checked.

    Raises
    ------
    TlsFileError
        If the two cannot be used together.
    """
    own = read_certificates(files.certificate)[0]
    check_key_file(files.key, own)
    return own


def _context(protocol: int, tls: ServerTls | ClientTls) -> ssl.SSLContext:
    files = tls.files
    own_certificate(files)
    if files.trusted is not None:
        read_certificates(files.trusted)
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if tls.only_1_3 else ssl.TLSVersion.TLSv1_2
    context.options |= _OPTIONS
    context.set_ciphers(cipher_string(tls.profile))
    try:
        context.load_cert_chain(files.certificate, files.key, password=lambda: b"")
    except (ssl.SSLError, OSError) as error:
        raise TlsFileError(f"{files.certificate}: {_words(error)}") from error
    if files.trusted is not None:
        _load_authorities(context, files.trusted)
    if files.revoked is not None:
        _load_authorities(context, files.revoked)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return context


def _load_authorities(context: ssl.SSLContext, path: Path) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except (ssl.SSLError, OSError) as error:
        raise TlsFileError(f"{path}: {_words(error)}") from error


def _words(error: OSError) -> str:
    reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
    return str(reason).replace("_", " ").lower()


def web_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the context of a web server that asks nobody for a certificate.

    Files that were renewed are used from the next connection on; while they do not fit together
    the old ones stay in use.

    Raises
    ------
    TlsFileError
        If a file cannot be used now.
    """
    files = TlsFiles(certificate=certificate, key=key)
    fresh = FreshContext(ServerTls(files=files, requires_certificate=False))
    first = fresh.last

    def renew(connection: ssl.SSLObject, _name: str | None, _first: ssl.SSLContext) -> None:
        try:
            connection.context = fresh.current()
        except TlsFileError as error:
            LOGGER.warning("The renewed certificate of the pages is not used: %s", error)
            connection.context = fresh.last

    first.sni_callback = renew
    return first


class _Stamp(NamedTuple):
    path: Path
    changed_ns: int
    size: int


class FreshContext:
    """The context of a listener, made again when one of its files has been renewed.

    Parameters
    ----------
    tls
        How the listener speaks TLS.

    Raises
    ------
    TlsFileError
        If the files cannot be used now.
    """

    def __init__(self, tls: ServerTls) -> None:
        self._tls = tls
        self._stamps = self._look()
        self._context = server_context(tls)

    def current(self) -> ssl.SSLContext:
        """Return the context for the next connection.

        Raises
        ------
        TlsFileError
            If the files have changed and cannot be used; `last` is still there.
        """
        stamps = self._look()
        if stamps != self._stamps:
            self._stamps = stamps
            self._context = server_context(self._tls)
        return self._context

    @property
    def last(self) -> ssl.SSLContext:
        """The last context that could be made."""
        return self._context

    def _look(self) -> tuple[_Stamp, ...]:
        files = self._tls.files
        stamps = []
        for path in (files.certificate, files.key, files.trusted, files.revoked):
            if path is None:
                continue
            try:
                found = path.stat()
            except OSError:
                stamps.append(_Stamp(path, 0, -1))
            else:
                stamps.append(_Stamp(path, found.st_mtime_ns, found.st_size))
        return tuple(stamps)


#: What OpenSSL calls the failure of a handshake, and what an operator should think of.
_HANDSHAKE_WORDS: tuple[tuple[str, str], ...] = (
    ("HTTP_REQUEST", "the caller spoke HTTP"),
    ("UNSUPPORTED_PROTOCOL", "the other side has no TLS 1.2 or 1.3"),
    ("UNEXPECTED_MESSAGE", "the other side did not speak TLS"),
    ("WRONG_VERSION_NUMBER", "the other side did not speak TLS"),
    ("PACKET_LENGTH_TOO_LONG", "the other side did not speak TLS"),
    ("RECORD_LAYER_FAILURE", "the other side did not speak TLS"),
    ("NO_SHARED_CIPHER", "no cipher suite is known to both sides"),
    ("NO_SHARED_GROUP", "no key exchange group is known to both sides"),
    ("NO_SUITABLE_SIGNATURE_ALGORITHM", "no signature algorithm is known to both sides"),
    ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "the caller showed no certificate"),
    ("CERTIFICATE_REQUIRED", "the peer demands a certificate that it trusts"),
    ("ALERT_PROTOCOL_VERSION", "the other side refused our version of TLS"),
    ("ALERT_HANDSHAKE_FAILURE", "the other side refused the cipher suites"),
    ("ALERT_UNKNOWN_CA", "the other side does not trust the authority of our certificate"),
    ("ALERT_BAD_CERTIFICATE", "the other side refused our certificate"),
    ("ALERT_CERTIFICATE_EXPIRED", "the other side says that our certificate has ended"),
    ("ALERT_CERTIFICATE_REVOKED", "the other side says that our certificate is revoked"),
    ("ALERT_CERTIFICATE_UNKNOWN", "the other side refused our certificate"),
    ("UNEXPECTED_EOF", "the other side hung up in the handshake"),
)


def handshake_words(error: OSError) -> str:
    """Return in words why a TLS connection failed; holds nothing that the other side sent."""
    if isinstance(error, TimeoutError):
        return "the handshake took too long"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of the other side is not believed: {error.verify_message}"
    reason = str(getattr(error, "reason", "") or "").upper()
    if isinstance(error, ssl.SSLEOFError | ConnectionResetError):
        reason = "UNEXPECTED_EOF"
    for key, words in _HANDSHAKE_WORDS:
        if key in reason:
            return words
    return reason.replace("_", " ").lower() or error.strerror or type(error).__name__
